/// Which layer of which picture a path carries: first all get the least, the largest on screen first; then the same ones get more, as
/// long as it fits.
internal struct LayerAllocation {
  internal struct Picture {
    /// Bits a second of its layers, from the least to the most; none where nothing comes.
    let rates: [Int]
    /// Beyond this one nobody would see a difference.
    let useful: Int
    /// What is larger on screen goes first.
    let priority: Int
    /// What is sent now.
    let present: Int?

    init(rates: [Int], useful: Int? = nil, priority: Int = 0, present: Int? = nil) {
      self.rates = rates
      self.useful = min(useful ?? rates.count - 1, rates.count - 1)
      self.priority = priority
      self.present = present
    }
  }

  /// What one more layer must fit with to spare, in percent: who is at the limit shall not go up and down.
  private static let reserve = 115
  /// What the least of a picture that is shown may lack, in percent: the estimate moves, and a picture that comes and goes, with a key
  /// frame each time, is worse than frames that are a little late.
  private static let tolerance = 25

  /// - Parameter budget: bits a second; `nil` where nothing limits it.
  /// - Returns: the layer of each picture; `nil` for one that has to wait.
  internal static func layers(of pictures: [Picture], budget: Int?) -> [Int?] {
    var chosen = [Int?](repeating: nil, count: pictures.count)
    let order = pictures.indices.sorted { (pictures[$1].priority, $0) < (pictures[$0].priority, $1) }
    guard let budget else { return pictures.map { $0.rates.isEmpty ? nil : $0.useful } }
    var left = budget
    var spent = [Int](repeating: 0, count: pictures.count)
    for layer in 0..<(pictures.map(\.rates.count).max() ?? 0) {
      for index in order where (chosen[index] ?? -1) == layer - 1 && layer <= pictures[index].useful {
        let cost = cost(of: layer, pictures[index])
        guard max(0, cost - spent[index]) <= left else { continue }
        let price = min(cost, pictures[index].rates[layer])
        left -= price - spent[index]
        (spent[index], chosen[index]) = (price, layer)
      }
    }
    return chosen
  }

  /// What must be left for a layer.
  private static func cost(of layer: Int, _ picture: Picture) -> Int {
    let rate = picture.rates[layer]
    guard let present = picture.present, layer <= present else { return rate * reserve / 100 }
    return layer == 0 ? rate * (100 - tolerance) / 100 : rate
  }

  /// The least layer that fills so many lines, of layers that are each half of the next.
  /// - Parameter full: lines of the best one.
  internal static func useful(_ height: Int?, of count: Int, full: Int = 720) -> Int {
    guard let height, count > 1 else { return count - 1 }
    return (0..<count).first { full >> (count - 1 - $0) >= height } ?? count - 1
  }
}

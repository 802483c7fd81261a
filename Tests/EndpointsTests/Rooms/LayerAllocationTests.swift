import Testing

@testable import MartletEndpoints

@Suite struct LayerAllocationTests {
  private typealias Picture = LayerAllocation.Picture
  private let rates = [100_000, 300_000, 1_000_000]

  @Test func `without a limit each gets what is useful`() {
    let pictures = [Picture(rates: rates), Picture(rates: rates, useful: 0), Picture(rates: [])]
    #expect(LayerAllocation.layers(of: pictures, budget: nil) == [2, 0, nil])
  }

  @Test func `all get the least before anybody gets more, and the largest on screen goes first`() {
    let pictures = [Picture(rates: rates, priority: 1), Picture(rates: rates, priority: 9), Picture(rates: rates, priority: 5)]
    #expect(LayerAllocation.layers(of: pictures, budget: 250_000) == [nil, 0, 0])
    #expect(LayerAllocation.layers(of: pictures, budget: 350_000) == [0, 0, 0])
    #expect(LayerAllocation.layers(of: pictures, budget: 600_000) == [0, 1, 0])
    #expect(LayerAllocation.layers(of: pictures, budget: 10_000_000) == [2, 2, 2])
  }

  @Test func `going up takes more than staying`() {
    let fresh = [Picture(rates: rates, present: 0)], kept = [Picture(rates: rates, present: 1)]
    #expect(LayerAllocation.layers(of: fresh, budget: 310_000) == [0])
    #expect(LayerAllocation.layers(of: kept, budget: 310_000) == [1])
    #expect(LayerAllocation.layers(of: fresh, budget: 350_000) == [1])
    #expect(LayerAllocation.layers(of: kept, budget: 290_000) == [0])
  }

  @Test func `a picture that is shown stays, though a little is missing, and one that waits needs all`() {
    let shown = [Picture(rates: [200_000], present: 0), Picture(rates: [200_000], present: 0)]
    #expect(LayerAllocation.layers(of: shown, budget: 310_000) == [0, 0])
    #expect(LayerAllocation.layers(of: shown, budget: 290_000) == [0, nil])
    let waiting = [Picture(rates: [200_000], present: 0), Picture(rates: [200_000])]
    #expect(LayerAllocation.layers(of: waiting, budget: 370_000) == [0, nil])
    #expect(LayerAllocation.layers(of: waiting, budget: 390_000) == [0, 0])
  }

  @Test(arguments: [(nil, 2), (90, 0), (180, 0), (181, 1), (360, 1), (361, 2), (2160, 2)])
  func `a small picture is served by a small layer`(_ height: Int?, _ layer: Int) {
    #expect(LayerAllocation.useful(height, of: 3) == layer)
  }

  // What is given out is never more than there is, but for what is shown already, and never a layer that does not exist.
  @Test(arguments: 0..<50) func `no choice exceeds the budget`(_ seed: Int) {
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % limit
    }
    let pictures = (0..<next(20)).map { _ -> Picture in
      let rates = (0..<next(4)).map { _ in next(1_000_000) }.sorted()
      return Picture(rates: rates, useful: next(4), priority: next(5), present: next(2) == 0 ? nil : next(3))
    }
    let budget = next(5_000_000)
    let chosen = LayerAllocation.layers(of: pictures, budget: budget)
    let spent = zip(chosen, pictures).reduce(0) { sum, pair in
      guard let layer = pair.0 else { return sum }
      let rate = pair.1.rates[layer]
      return sum + (layer == 0 && pair.1.present != nil ? rate * 3 / 4 : rate)
    }
    #expect(spent <= budget)
  }
}

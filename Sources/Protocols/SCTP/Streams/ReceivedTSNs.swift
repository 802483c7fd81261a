internal import MartletPrimitives

/// Which TSNs have arrived: all up to one, and runs behind it.
struct ReceivedTSNs {
  enum Verdict { case new, duplicate, tooFar }

  private(set) var cumulative: Int64
  /// Ascending, with a gap before each.
  private var runs: [Range<Int64>] = []
  /// For the next SACK.
  private(set) var duplicates: [UInt32] = []
  private let limits: SCTPLimits

  private static let maximumDuplicates = 16

  init(initialTSN: UInt32, limits: SCTPLimits) {
    cumulative = Int64(initialTSN) - 1
    self.limits = limits
  }

  var hasGaps: Bool { !runs.isEmpty }

  func verdict(_ tsn: Int64) -> Verdict {
    if tsn <= cumulative { return .duplicate }
    if tsn - cumulative > Int64(limits.tsnDistance) { return .tooFar }
    let place = firstRun(endingAfter: tsn)
    if place < runs.count, runs[place].contains(tsn) { return .duplicate }
    return runs.count < limits.gaps || tsn == cumulative + 1 ? .new : .tooFar
  }

  mutating func note(duplicate tsn: UInt32) {
    if duplicates.count < Self.maximumDuplicates { duplicates.append(tsn) }
  }

  mutating func clearDuplicates() { duplicates.removeAll(keepingCapacity: true) }

  /// - Parameter tsn: new.
  mutating func insert(_ tsn: Int64) {
    if tsn == cumulative + 1 {
      cumulative = tsn
      return absorb()
    }
    let place = firstRun(endingAfter: tsn)
    let touchesNext = place < runs.count && runs[place].lowerBound == tsn + 1
    if place > 0, runs[place - 1].upperBound == tsn {
      runs[place - 1] = runs[place - 1].lowerBound..<(touchesNext ? runs[place].upperBound : tsn + 1)
      if touchesNext { runs.remove(at: place) }
    } else if touchesNext {
      runs[place] = tsn..<runs[place].upperBound
    } else {
      runs.insert(tsn..<tsn + 1, at: place)
    }
  }

  /// The peer has given up what is missing up to `tsn`.
  mutating func skip(to tsn: Int64) {
    guard tsn > cumulative else { return }
    cumulative = tsn
    let gone = runs.prefix { $0.upperBound <= tsn + 1 }.count
    runs.removeFirst(gone)
    absorb()
  }

  /// Joins the first run to what is cumulative.
  private mutating func absorb() {
    guard let first = runs.first, first.lowerBound <= cumulative + 1 else { return }
    cumulative = max(cumulative, first.upperBound - 1)
    runs.removeFirst()
  }

  /// The index of the first run that ends behind `tsn`.
  private func firstRun(endingAfter tsn: Int64) -> Int {
    // Data comes in order more often than not: behind everything.
    guard let last = runs.last, last.upperBound > tsn else { return runs.count }
    var (low, high) = (0, runs.count)
    while low < high {
      let middle = (low + high) / 2
      if runs[middle].upperBound > tsn { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// The first `maximum` runs, for a SACK.
  func gapBlocks(maximum: Int) -> [SelectiveAck.GapBlock] {
    runs.prefix(max(0, maximum)).map {
      SelectiveAck.GapBlock(UInt16(clamping: $0.lowerBound - cumulative), UInt16(clamping: $0.upperBound - 1 - cumulative))
    }
  }
}

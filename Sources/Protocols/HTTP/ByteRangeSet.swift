internal import MartletPrimitives

/// Which bytes of something have arrived: ranges in order, none touching another.
///
/// Parts come in any order, so their number is the sender's to choose; it is bounded.
package struct ByteRangeSet: Equatable, Sendable {
  package private(set) var ranges: [Range<Int>] = []

  package init() {}

  /// Bytes that have arrived from the first one on without a gap.
  package var contiguous: Int { ranges.first.map { $0.lowerBound == 0 ? $0.upperBound : 0 } ?? 0 }
  /// One behind the last byte.
  package var end: Int { ranges.last?.upperBound ?? 0 }
  /// Bytes that have arrived.
  package var count: Int { ranges.reduce(0) { $0 + $1.count } }

  /// Everything from 0 up to `length` is there.
  package func isComplete(_ length: Int) -> Bool { contiguous >= length }

  package mutating func insert(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    let first = firstIndex { $0.upperBound >= range.lowerBound }
    let last = firstIndex { $0.lowerBound > range.upperBound }
    guard first < last else { return ranges.insert(range, at: first) }
    let joined = min(range.lowerBound, ranges[first].lowerBound)..<max(range.upperBound, ranges[last - 1].upperBound)
    ranges.replaceSubrange(first..<last, with: [joined])
  }

  package mutating func remove(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    let first = firstIndex { $0.upperBound > range.lowerBound }
    let last = firstIndex { $0.lowerBound >= range.upperBound }
    guard first < last else { return }
    var left: [Range<Int>] = []
    if ranges[first].lowerBound < range.lowerBound { left.append(ranges[first].lowerBound..<range.lowerBound) }
    if ranges[last - 1].upperBound > range.upperBound { left.append(range.upperBound..<ranges[last - 1].upperBound) }
    ranges.replaceSubrange(first..<last, with: left)
  }

  /// The first range for which `condition`, false for some and then true for all the rest, holds.
  private func firstIndex(_ condition: (Range<Int>) -> Bool) -> Int {
    var (low, high) = (0, ranges.count)
    while low < high {
      let middle = (low + high) / 2
      if condition(ranges[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

extension ByteRangeSet: CustomStringConvertible {
  /// `0-99,200-299`: both ends are part of a range, as in HTTP's own range fields.
  package var description: String { ranges.map { "\($0.lowerBound)-\($0.upperBound - 1)" }.joined(separator: ",") }

  /// Reads what `description` writes; ranges may come in any order. `nil` for anything else.
  package init?(parsing text: some StringProtocol, maximum: Int = 65536) {
    guard !text.isEmpty else { return }
    for part in text.split(separator: ",", maxSplits: maximum, omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count == 2, ends.allSatisfy({ (1...18).contains($0.utf8.count) && $0.utf8.allSatisfy(\.isDigit) }),
        let first = Int(ends[0]), let last = Int(ends[1]), first <= last, ranges.count < maximum
      else { return nil }
      insert(first..<last + 1)
    }
  }
}

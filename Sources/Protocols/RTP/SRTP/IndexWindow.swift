/// Which of the last indices have been used: the replay list of RFC 3711 §3.3.2, and for a sender the record of what it must not
/// encrypt again. What is older than the window counts as used.
struct IndexWindow: Sendable {
  private(set) var highest: UInt64
  /// A ring of bits; index `i` has bit `i % size`.
  private var words: [UInt64]
  private let mask: UInt64

  /// - Parameter size: rounded up to a power of two from 64 to 65,536.
  init(first: UInt64, size: Int) {
    var words = 1
    while words * 64 < min(size, 1 << 16) { words *= 2 }
    self.words = [UInt64](repeating: 0, count: words)
    mask = UInt64(words * 64 - 1)
    highest = first
    mark(first)
  }

  var size: Int { words.count * 64 }

  /// The index's place in a ring as large as the window.
  func slot(_ index: UInt64) -> Int { Int(index & mask) }

  func isTooOld(_ index: UInt64) -> Bool { index <= highest && highest - index > mask }

  func isUsed(_ index: UInt64) -> Bool {
    guard index <= highest else { return false }
    return isTooOld(index) || words[slot(index) / 64] & (1 << (index & 63)) != 0
  }

  mutating func insert(_ index: UInt64) {
    if index > highest {
      forget(from: highest + 1, through: index)
      highest = index
    }
    if !isTooOld(index) { mark(index) }
  }

  private mutating func mark(_ index: UInt64) { words[slot(index) / 64] |= 1 << (index & 63) }

  /// Clears the places that new indices take over from old ones.
  private mutating func forget(from first: UInt64, through last: UInt64) {
    guard last - first < mask else {
      for index in words.indices { words[index] = 0 }
      return
    }
    for index in first...last { words[slot(index) / 64] &= ~(1 << (index & 63)) }
  }
}

internal import MartletPrimitives

/// So many tokens at once, so many a second.
struct TokenBucket: Sendable {
  private var level: Int64
  private var filled: Instant

  /// It begins full.
  init(capacity: Int, now: Instant) {
    level = Int64(capacity)
    filled = now
  }

  /// Whether `count` may pass now.
  /// - Parameter rate: tokens a second.
  mutating func take(_ count: Int, capacity: Int, rate: Int, now: Instant) -> Bool {
    if level < Int64(count) { fill(Int64(capacity), Int64(rate), now) }
    guard level >= Int64(count) else { return false }
    level -= Int64(count)
    return true
  }

  /// Only when it is short: the clock's steps are too small to count by.
  private mutating func fill(_ capacity: Int64, _ rate: Int64, _ now: Instant) {
    let gained = Int64(clamping: (Double(max(0, (now - filled).nanoseconds)) * Double(rate) / 1e9).rounded(.down))
    guard gained > 0 else { return }
    level = gained >= capacity - level ? capacity : level + gained
    filled = now
  }
}

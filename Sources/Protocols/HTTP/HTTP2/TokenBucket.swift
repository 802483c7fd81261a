package import MartletPrimitives

/// Allows a burst and then a steady rate, by the time it is told.
package struct TokenBucket: Sendable {
  private let burst: Int64
  private let perSecond: Int64
  /// Billionths of a token.
  private var level: Int64
  private var last: Instant?

  package init(burst: Int, perSecond: Int) {
    // Within nine billion tokens nothing overflows.
    self.burst = Int64(min(max(burst, 0), 1_000_000)) * 1_000_000_000
    self.perSecond = Int64(min(max(perSecond, 0), 1_000_000))
    level = self.burst
  }

  /// Takes one token; `false` when there is none.
  package mutating func take(now: Instant) -> Bool {
    if let last, now > last {
      let elapsed = min((now - last).nanoseconds, 1_000_000_000_000)
      let (gain, overflow) = elapsed.multipliedReportingOverflow(by: perSecond)
      level = overflow ? burst : min(burst, level + min(gain, burst))
    }
    last = now
    guard level >= 1_000_000_000 else { return false }
    level -= 1_000_000_000
    return true
  }
}

/// So many units a second, and so many at once: the generic cell rate algorithm (ITU-T I.371). All there is to remember is when what
/// has passed would have passed at the rate, which may lie ahead of the clock by a burst. Nothing overflows, whatever is counted.
public struct RatePolicer: Hashable, Sendable {
  /// When all that was counted would have passed.
  public private(set) var busyUntil: Instant

  public init(busyUntil: Instant = .zero) { self.busyUntil = busyUntil }

  /// How long `count` units take at `rate` units a second; at a rate of 0 or less for ever.
  public static func time(for count: Int, at rate: Int) -> TimeSpan {
    guard rate > 0 else { return TimeSpan(nanoseconds: .max) }
    let (nanoseconds, overflow) = Int64(count).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? .seconds(count / rate) : TimeSpan(nanoseconds: nanoseconds / Int64(rate))
  }

  /// Counts `count` units and answers true, or answers false when they would be more than may pass at once.
  /// - Parameter burst: how far ahead what passes may be.
  public mutating func take(_ count: Int, rate: Int, burst: TimeSpan = .seconds(1), now: Instant) -> Bool {
    let next = max(busyUntil, now) + Self.time(for: count, at: rate)
    guard next <= now + burst else { return false }
    busyUntil = next
    return true
  }

  /// Counts `count` units that cannot be refused any more.
  /// - Returns: how long to wait until what passes is no more than a burst ahead; `nil` for no time.
  public mutating func charge(_ count: Int, rate: Int, burst: TimeSpan = .seconds(1), now: Instant) -> TimeSpan? {
    busyUntil = max(busyUntil, now) + Self.time(for: count, at: rate)
    return busyUntil > now + burst ? busyUntil - (now + burst) : nil
  }
}

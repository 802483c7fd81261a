internal import MartletPrimitives

/// How a stream's timestamps relate to wall-clock time: one pair of both, from a sender report (RFC 3550 §6.4.1), and the rate.
package struct MediaClock: Equatable, Sendable {
  package var ntp: NTPTime
  package var timestamp: UInt32
  /// In Hz, above zero.
  package var rate: UInt32

  package init(ntp: NTPTime, timestamp: UInt32, rate: UInt32) {
    self.ntp = ntp
    self.timestamp = timestamp
    self.rate = rate
  }

  package init(_ report: SenderReport, rate: UInt32) { self.init(ntp: report.ntp, timestamp: report.timestamp, rate: rate) }

  package func timestamp(at time: NTPTime) -> UInt32 { timestamp &+ UInt32(truncatingIfNeeded: Self.units(time - ntp, rate)) }

  /// The time of a timestamp within half its range of the pair's.
  package func ntp(at timestamp: UInt32) -> NTPTime {
    let units = Int64(Int32(bitPattern: timestamp &- self.timestamp))
    return ntp.advanced(by: TimeSpan(nanoseconds: (units * 1_000_000_000) / Int64(max(1, rate))))
  }

  /// `span` in units of 1/`rate` s, rounded down.
  static func units(_ span: TimeSpan, _ rate: UInt32) -> Int64 {
    // Seconds and the rest apart, since the product of both does not fit.
    let (seconds, rest) = span.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return seconds &* Int64(rate) &+ (rest * Int64(rate)) / 1_000_000_000
  }

  /// A place on a clock that runs at `rate` along the monotonic time line.
  static func units(_ instant: Instant, _ rate: UInt32) -> UInt32 {
    UInt32(truncatingIfNeeded: units(TimeSpan(nanoseconds: instant.nanoseconds), rate))
  }
}

package import MartletPrimitives

/// Wall-clock time as RTCP writes it (RFC 3550 §4): seconds since 1900-01-01 UTC in 32.32 fixed point.
package struct NTPTime: Comparable, Hashable, Sendable {
  package var value: UInt64

  package init(value: UInt64) { self.value = value }

  /// - Parameter offset: added to `wall`, which counts milliseconds only.
  package init(_ wall: WallTime, offset: TimeSpan = .zero) {
    self = NTPTime(value: 0).advanced(by: .milliseconds(Int(wall.milliseconds)) + offset + Self.unixEpoch)
  }

  /// From 1900-01-01 to 1970-01-01.
  private static let unixEpoch = TimeSpan.seconds(2_208_988_800)

  /// In milliseconds, rounded. Times before 1968 belong to the era that begins in 2036 (RFC 4330 §3).
  package var wallTime: WallTime {
    let seconds = Int64(value >> 32) + (value >> 63 == 0 ? 1 << 32 : 0) - 2_208_988_800
    return WallTime(milliseconds: seconds * 1000 + Int64(((value & 0xFFFF_FFFF) * 1000 + 1 << 31) >> 32))
  }

  /// What report blocks refer to: the low 16 bits of the seconds and the high 16 of the fraction.
  package var middle: UInt32 { UInt32(truncatingIfNeeded: value >> 16) }

  package func advanced(by span: TimeSpan) -> NTPTime {
    let (seconds, rest) = span.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    let fraction = (rest << 32) / 1_000_000_000
    return NTPTime(value: value &+ UInt64(bitPattern: seconds << 32 &+ fraction))
  }

  package static func - (a: NTPTime, b: NTPTime) -> TimeSpan {
    let difference = Int64(bitPattern: a.value &- b.value)
    return TimeSpan(nanoseconds: (difference >> 32) &* 1_000_000_000 &+ ((difference & 0xFFFF_FFFF) * 1_000_000_000) >> 32)
  }

  package static func < (a: NTPTime, b: NTPTime) -> Bool { a.value < b.value }

  /// - Parameters:
  ///   - sent: the `middle` of the time at which the report left.
  ///   - held: how long the peer kept it, in 1/65,536 s.
  static func roundTrip(sent: UInt32, held: UInt32, now: NTPTime) -> TimeSpan? {
    let trip = Int32(bitPattern: now.middle &- sent &- held)
    // A little below zero is the rounding of 1/65,536 s on both sides.
    guard trip > -16 else { return nil }
    return duration(UInt32(max(0, trip)))
  }

  /// A duration in 1/65,536 s.
  static func duration(_ units: UInt32) -> TimeSpan { TimeSpan(nanoseconds: (Int64(units) * 1_000_000_000) >> 16) }

  /// `span` in 1/65,536 s, clamped.
  static func units(_ span: TimeSpan) -> UInt32 {
    let (seconds, rest) = max(0, span.nanoseconds).quotientAndRemainder(dividingBy: 1_000_000_000)
    return UInt32(clamping: seconds << 16 + (rest << 16) / 1_000_000_000)
  }
}

/// A span of time in nanoseconds. `Duration` costs sixty times as much per step, so it appears only in public API.
public struct TimeSpan: Comparable, Hashable, Sendable {
  public var nanoseconds: Int64

  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static let zero = TimeSpan(nanoseconds: 0)
  @inlinable public static func microseconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: scaled(n, by: 1000)) }
  @inlinable public static func milliseconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: scaled(n, by: 1_000_000)) }
  @inlinable public static func seconds(_ n: Int) -> TimeSpan { TimeSpan(nanoseconds: scaled(n, by: 1_000_000_000)) }
  @inlinable public static func seconds(_ n: Double) -> TimeSpan { TimeSpan(nanoseconds: Int64(clamping: n * 1e9)) }

  @inlinable public var milliseconds: Int64 { nanoseconds / 1_000_000 }
  @inlinable public var seconds: Double { Double(nanoseconds) / 1e9 }

  @inlinable public static func < (a: TimeSpan, b: TimeSpan) -> Bool { a.nanoseconds < b.nanoseconds }
  @inlinable public static func + (a: TimeSpan, b: TimeSpan) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &+ b.nanoseconds) }
  @inlinable public static func - (a: TimeSpan, b: TimeSpan) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &- b.nanoseconds) }
  @inlinable public static func * (a: TimeSpan, n: Int) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &* Int64(n)) }

  /// Saturates: a configured "1e18 seconds" means "never", not a trap.
  @usableFromInline static func scaled(_ n: Int, by factor: Int64) -> Int64 {
    let (product, overflow) = Int64(n).multipliedReportingOverflow(by: factor)
    return overflow ? (n < 0 ? .min : .max) : product
  }
}

extension Int64 {
  /// The nearest representable value; NaN becomes 0.
  @inlinable public init(clamping value: Double) {
    self = value.isNaN ? 0 : value >= 9.2e18 ? .max : value <= -9.2e18 ? .min : Int64(value)
  }
}

/// A point on the monotonic time line that the driver passes into every core. Cores never read a clock.
public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since an arbitrary start; only differences mean anything.
  public var nanoseconds: Int64

  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }
  public static let zero = Instant(nanoseconds: 0)
  public static let distantFuture = Instant(nanoseconds: .max)

  /// The first of several deadlines, where there are any.
  @inlinable public static func earliest(_ a: Instant?, _ b: Instant?) -> Instant? {
    guard let a, let b else { return a ?? b }
    return min(a, b)
  }

  @inlinable public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  @inlinable public static func - (a: Instant, b: Instant) -> TimeSpan { TimeSpan(nanoseconds: a.nanoseconds &- b.nanoseconds) }
  @inlinable public static func - (a: Instant, b: TimeSpan) -> Instant { Instant(nanoseconds: a.nanoseconds &- b.nanoseconds) }
  /// Saturates at `distantFuture`.
  @inlinable public static func + (a: Instant, b: TimeSpan) -> Instant {
    let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
    return Instant(nanoseconds: overflow ? (b.nanoseconds < 0 ? .min : .max) : sum)
  }
}

/// Wall-clock time, milliseconds since 1970-01-01 UTC: for people, playlists and tokens, never for timers.
public struct WallTime: Comparable, Hashable, Sendable {
  public var milliseconds: Int64
  @inlinable public init(milliseconds: Int64) { self.milliseconds = milliseconds }
  @inlinable public static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }

  /// RFC 3339 in UTC with milliseconds: `2026-11-20T15:25:00.000Z`.
  public var iso8601: String {
    let (date, ms) = (calendarDate, ((milliseconds % 1000) + 1000) % 1000)
    func pad(_ n: Int, _ width: Int) -> String {
      let digits = String(n)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    let day = "\(pad(date.year, 4))-\(pad(date.month, 2))-\(pad(date.day, 2))"
    return "\(day)T\(pad(date.hour, 2)):\(pad(date.minute, 2)):\(pad(date.second, 2)).\(pad(Int(ms), 3))Z"
  }

  public struct CalendarDate: Equatable, Sendable {
    public var year, month, day, hour, minute, second: Int
    /// 0 is Sunday.
    public var weekday: Int
  }

  /// The proleptic Gregorian date in UTC.
  public var calendarDate: CalendarDate {
    let seconds = Int((milliseconds - ((milliseconds % 1000) + 1000) % 1000) / 1000)
    let secondOfDay = ((seconds % 86400) + 86400) % 86400
    let days = (seconds - secondOfDay) / 86400
    // Days are counted from 0000-03-01, so that the leap day is the last of its year, in eras of 400 years.
    let shifted = days + 719_468
    let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return CalendarDate(
      year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month, day: dayOfYear - (153 * monthFromMarch + 2) / 5 + 1,
      hour: secondOfDay / 3600, minute: secondOfDay / 60 % 60, second: secondOfDay % 60, weekday: ((days + 4) % 7 + 7) % 7)
  }
}

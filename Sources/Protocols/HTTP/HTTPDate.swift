package import MartletPrimitives

/// Dates in HTTP fields (RFC 9110 §5.6.7).
package enum HTTPDate {
  private static let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

  /// IMF-fixdate: `Sun, 06 Nov 1994 08:49:37 GMT`. Fractions of a second are dropped.
  package static func format(_ time: WallTime) -> String {
    let date = time.calendarDate
    func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
    let year = String(repeating: "0", count: max(0, 4 - String(date.year).count)) + String(date.year)
    let clock = "\(two(date.hour)):\(two(date.minute)):\(two(date.second))"
    return "\(days[date.weekday]), \(two(date.day)) \(months[date.month - 1]) \(year) \(clock) GMT"
  }

  /// Reads IMF-fixdate and the obsolete forms of RFC 850 and asctime; `nil` for anything else.
  ///
  /// - Parameter now: a year of two digits that lies more than 50 years ahead of it is in the past.
  package static func parse(_ text: String, now: WallTime) -> WallTime? {
    guard text.utf8.count <= 40 else { return nil }
    let parts = text.split(separator: " ").map(String.init)
    if parts.count == 6, parts[0].hasSuffix(","), parts[5] == "GMT" {
      return time(year: number(parts[3], 4), month: parts[2], day: number(parts[1], 2), clock: parts[4])
    }
    if parts.count == 4, parts[0].hasSuffix(","), parts[3] == "GMT" {
      let date = parts[1].split(separator: "-").map(String.init)
      guard date.count == 3, let short = number(date[2], 2) else { return nil }
      let current = now.calendarDate.year
      var year = current - current % 100 + short
      if year > current + 50 { year -= 100 }
      return time(year: year, month: date[1], day: number(date[0], 2), clock: parts[2])
    }
    if parts.count == 5 {
      return time(year: number(parts[4], 4), month: parts[1], day: number(parts[2], parts[2].utf8.count), clock: parts[3])
    }
    return nil
  }

  private static func number(_ text: some StringProtocol, _ digits: Int) -> Int? {
    guard text.utf8.count == digits, digits <= 4, text.utf8.allSatisfy(\.isDigit) else { return nil }
    return Int(text)
  }

  private static func time(year: Int?, month: String, day: Int?, clock: String) -> WallTime? {
    let fields = clock.split(separator: ":", omittingEmptySubsequences: false)
    guard let year, let day, let month = months.firstIndex(of: month), fields.count == 3,
      let hour = number(fields[0], 2), let minute = number(fields[1], 2), let second = number(fields[2], 2),
      hour < 24, minute < 60, second <= 60, day >= 1, day <= 31
    else { return nil }
    // Days from the civil date, counted from March so that the leap day comes last.
    let shifted = month < 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * ((month + 10) % 12) + 2) / 5 + day - 1
    let total = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    let result = WallTime(milliseconds: Int64(total * 86400 + hour * 3600 + minute * 60 + second) * 1000)
    return result.calendarDate.day == day || second == 60 ? result : nil
  }
}

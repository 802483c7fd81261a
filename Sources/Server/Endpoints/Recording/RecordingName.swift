internal import MartletMedia
internal import MartletPrimitives

/// Where a recording stands below the recordings' folder: `APP/NAME/2026-11-20T15-25-00.123Z.flv`.
internal struct RecordingName: Equatable, Sendable {
  internal let stream: StreamPath
  internal let start: WallTime

  internal init(_ stream: StreamPath, start: WallTime) {
    self.stream = stream
    self.start = start
  }

  /// `nil` for a path that no recording has.
  internal init?(path: String) {
    guard let slash = path.lastIndex(of: "/"), let stream = try? StreamPath(String(path[..<slash])), stream.text == path[..<slash],
      let start = Self.time(path[path.index(after: slash)...])
    else { return nil }
    self.init(stream, start: start)
  }

  internal var path: String { "\(stream)/\(fileName)" }

  /// RFC 3339 without its colons, which some file systems have other plans for.
  internal var fileName: String { String(start.iso8601.map { $0 == ":" ? "-" : $0 }) + ".flv" }

  private static func time(_ name: Substring) -> WallTime? {
    let digits = Array(name.utf8)
    let form = Array("0000-00-00T00-00-00.000Z.flv".utf8)
    guard digits.count == form.count else { return nil }
    for (digit, place) in zip(digits, form) {
      guard place == UInt8(ascii: "0") ? 0x30...0x39 ~= digit : digit == place else { return nil }
    }
    func number(_ range: Range<Int>) -> Int64 { digits[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) } }
    let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
    guard 1...12 ~= month, 1...31 ~= day, number(11..<13) < 24, number(14..<16) < 60, number(17..<19) <= 60 else { return nil }
    // Days from 0000-03-01, so that the leap day is the last of its year.
    let shifted = month > 2 ? year : year - 1
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (153 * ((month + 9) % 12) + 2) / 5 + day - 1 - 719_468
    let seconds = days * 86_400 + number(11..<13) * 3600 + number(14..<16) * 60 + number(17..<19)
    return WallTime(milliseconds: seconds * 1000 + number(20..<23))
  }
}

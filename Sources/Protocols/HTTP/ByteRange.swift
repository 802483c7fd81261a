/// `Range` with the unit bytes (RFC 9110 §14).
package enum ByteRange {
  /// More ranges than this in one request count as no `Range` at all: many small ones are an attack (§14.2).
  package static let maximumCount = 16

  /// What a `Range` field asks of a representation.
  package enum Selection: Equatable, Sendable {
    /// No range, another unit, or syntax that is not understood: the field is ignored.
    case whole
    /// One or more ranges in the order asked, all inside the representation and none overlapping another.
    case parts([Range<Int>])
    /// Nothing of it lies inside: 416.
    case unsatisfiable
  }

  /// - Parameter length: bytes of the representation.
  package static func select(_ field: String, length: Int) -> Selection {
    let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].trimmed.equalsIgnoringCase("bytes") else { return .whole }
    let specs = parts[1].split(separator: ",", omittingEmptySubsequences: false).map(\.trimmed).filter { !$0.isEmpty }
    guard !specs.isEmpty, specs.count <= maximumCount else { return .whole }
    var ranges: [Range<Int>] = []
    for spec in specs {
      guard let range = parse(spec, length) else { return .whole }
      if !range.isEmpty { ranges.append(range) }
    }
    guard !ranges.isEmpty else { return .unsatisfiable }
    // §14.2 lets a server refuse overlaps; the sum of honest ranges never exceeds the whole.
    let sorted = ranges.sorted { $0.lowerBound < $1.lowerBound }
    guard zip(sorted, sorted.dropFirst()).allSatisfy({ $0.upperBound <= $1.lowerBound }) else { return .whole }
    return .parts(ranges)
  }

  /// An empty range when the spec is valid but lies outside; `nil` when it is not valid.
  private static func parse(_ spec: Substring, _ length: Int) -> Range<Int>? {
    let ends = spec.split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2 else { return nil }
    if ends[0].isEmpty {
      guard let suffix = number(ends[1]) else { return nil }
      return max(0, length - suffix)..<length
    }
    guard let first = number(ends[0]) else { return nil }
    if ends[1].isEmpty { return first < length ? first..<length : 0..<0 }
    guard let last = number(ends[1]), last >= first else { return nil }
    return first < length ? first..<min(length, last + 1) : 0..<0
  }

  /// Beyond 18 digits it is as good as infinite.
  private static func number(_ text: Substring) -> Int? {
    guard !text.isEmpty, text.utf8.allSatisfy(\.isDigit) else { return nil }
    return text.utf8.count > 18 ? 1 << 62 : Int(text)
  }

  /// `bytes 0-499/1234`, for 206.
  package static func contentRange(_ range: Range<Int>, length: Int) -> String {
    "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"
  }

  /// `bytes */1234`, for 416.
  package static func unsatisfiedContentRange(length: Int) -> String { "bytes */\(length)" }

  /// A `Content-Range` of a request that sends a part of something, as resumable uploads do.
  package struct Content: Equatable, Sendable {
    /// `nil` for `bytes */N`, which asks how much has arrived.
    package var range: Range<Int>?
    /// `nil` for `*`: not known yet.
    package var length: Int?

    package init(range: Range<Int>?, length: Int?) {
      self.range = range
      self.length = length
    }
  }

  /// `nil` when the field is not valid.
  package static func parseContentRange(_ field: String) -> Content? {
    let words = field.split(separator: " ")
    guard words.count == 2, words[0].equalsIgnoringCase("bytes") else { return nil }
    let halves = words[1].split(separator: "/", omittingEmptySubsequences: false)
    guard halves.count == 2 else { return nil }
    var length: Int?
    if halves[1] != "*" {
      guard halves[1].utf8.count <= 18, let total = number(halves[1]) else { return nil }
      length = total
    }
    if halves[0] == "*" { return Content(range: nil, length: length) }
    let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false)
    guard ends.count == 2, halves[0].utf8.count <= 37, let first = number(ends[0]), let last = number(ends[1]), first <= last,
      last < 1 << 61,
      length.map({ last < $0 }) ?? true
    else { return nil }
    return Content(range: first..<last + 1, length: length)
  }
}

/// Which streams, channels or files a permission is for: segments with `*` for any letters within one segment and `**` for
/// any number of segments. `live/*` is every stream of the application `live`; `**` is everything.
package struct PathPattern: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  private let segments: [Substring]

  package static let maximumBytes = 512
  package static let everything = PathPattern("**") ?? PathPattern(segments: ["**"])

  package var description: String { text }

  /// `nil` for an empty or overlong pattern, and for `**` beside other letters in one segment, which would promise more than
  /// it does.
  package init?(_ text: String) {
    guard !text.isEmpty, text.utf8.count <= Self.maximumBytes else { return nil }
    let segments = text.split(separator: "/")
    guard !segments.isEmpty, segments.allSatisfy({ $0 == "**" || !$0.contains("**") }) else { return nil }
    // More of them mean no more, and would cost time.
    guard segments.filter({ $0 == "**" }).count <= 4 else { return nil }
    self.text = text
    self.segments = segments
  }

  private init(segments: [Substring]) {
    text = segments.joined(separator: "/")
    self.segments = segments
  }

  package func matches(_ path: String) -> Bool {
    let parts = path.split(separator: "/")
    guard parts.count <= 128 else { return false }
    return Self.matches(segments[...], parts[...])
  }

  private static func matches(_ pattern: ArraySlice<Substring>, _ path: ArraySlice<Substring>) -> Bool {
    var (pattern, path) = (pattern, path)
    while let first = pattern.first {
      if first == "**" {
        let rest = pattern.dropFirst()
        if rest.isEmpty { return true }
        return (path.startIndex...path.endIndex).contains { matches(rest, path[$0...]) }
      }
      guard let segment = path.first, matchesSegment(Array(first.utf8), Array(segment.utf8)) else { return false }
      pattern = pattern.dropFirst()
      path = path.dropFirst()
    }
    return path.isEmpty
  }

  /// One segment, in time proportional to the product of the lengths at most.
  private static func matchesSegment(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
    let star = UInt8(ascii: "*")
    var (p, t) = (0, 0)
    var retry: (pattern: Int, text: Int)?
    while t < text.count {
      if p < pattern.count, pattern[p] == star {
        retry = (p + 1, t)
        p += 1
      } else if p < pattern.count, pattern[p] == text[t] {
        p += 1
        t += 1
      } else if let (back, from) = retry {
        retry = (back, from + 1)
        p = back
        t = from + 1
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == star }
  }
}

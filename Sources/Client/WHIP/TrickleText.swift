/// What of a session description travels in a PATCH, `application/trickle-ice-sdpfrag` (RFC 8840 §9), and back into one.
internal enum TrickleText {
  internal static let mediaType = "application/trickle-ice-sdpfrag"

  /// The lines that say which ICE session the rest belongs to: credentials, and the first section, since BUNDLE has one transport.
  internal static func fragment(of description: String, candidates: [String] = [], isLast: Bool = false) -> String {
    let lines = description.split(whereSeparator: \.isNewline)
    let head = ["a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:"].compactMap { name in lines.first { $0.hasPrefix(name) }.map(String.init) }
    let own = candidates.map { $0.hasPrefix("a=") ? $0 : "a=" + $0 }
    return (head + own + (isLast ? ["a=end-of-candidates"] : [])).map { $0 + "\r\n" }.joined()
  }

  /// A description with the credentials and candidates of a fragment in place of its own.
  internal static func description(_ description: String, with fragment: String) -> String {
    let given = fragment.split(whereSeparator: \.isNewline).map(String.init)
    let candidates = given.filter(isCandidate)
    var lines: [String] = []
    var isFirst = true
    for line in description.split(whereSeparator: \.isNewline).map(String.init) where !isCandidate(line) {
      let name = ["a=ice-ufrag:", "a=ice-pwd:"].first { line.hasPrefix($0) }
      lines.append(name.flatMap { name in given.first { $0.hasPrefix(name) } } ?? line)
      if line.hasPrefix("a=mid:"), isFirst {
        isFirst = false
        lines += candidates
      }
    }
    return lines.map { $0 + "\r\n" }.joined()
  }

  private static func isCandidate(_ line: String) -> Bool { line.hasPrefix("a=candidate:") || line == "a=end-of-candidates" }
}

package import MartletPrimitives

/// A stream's name, `APP/NAME` or longer: the one key that every protocol uses.
package struct StreamPath: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package var description: String { text }

  package static let maximumBytes = 255

  /// First segments that belong to the server's own endpoints.
  package static let reservedFirst: Set<String> = [
    "api", "call", "channels", "diag", "events", "files", "healthz", "martlet.js", "metrics", "play", "readyz", "rooms", "skyrtc",
    "socket.io", "ws",
  ]
  package static let reservedLast: Set<String> = ["whip", "whep"]

  /// Refuses empty and dot segments, control characters, and what a URL or a file system would read differently.
  package init(_ text: String) throws(ParseError) {
    var trimmed = Substring(text)
    while trimmed.hasPrefix("/") { trimmed.removeFirst() }
    while trimmed.hasSuffix("/") { trimmed.removeLast() }
    guard trimmed.utf8.count <= Self.maximumBytes else { throw .limit("a stream path in bytes", maximum: Self.maximumBytes) }
    let segments = trimmed.split(separator: "/", omittingEmptySubsequences: false)
    guard segments.count >= 2 else { throw .invalid("a stream path is APP/NAME; \"\(trimmed)\" has one segment", at: 0) }
    for segment in segments {
      guard !segment.isEmpty, segment != ".", segment != ".." else { throw .invalid("an empty or dot segment in a stream path", at: 0) }
      for scalar in segment.unicodeScalars
      where scalar.value < 0x20 || scalar.value == 0x7F || "\\?#%\"<>|*:".unicodeScalars.contains(scalar) {
        throw .invalid("a character that a stream path may not hold", at: 0)
      }
    }
    self.text = String(trimmed)
  }

  /// A number below `count`, at least 1, that depends on the path alone.
  internal func placement(among count: Int) -> Int { Int(StableHash.of(text) % UInt64(max(1, count))) }

  /// The room and the participant that a stream below `rooms/` is of; `nil` for what a participant shares beside that, and for others.
  package var participant: (room: String, name: String)? {
    let segments = segments
    return segments.count == 3 && segments[0] == "rooms" ? (String(segments[1]), String(segments[2])) : nil
  }

  /// The room that a stream below `rooms/` is of, also of what a participant shares beside its own.
  package var room: String? {
    let segments = segments
    return segments.count > 2 && segments[0] == "rooms" ? String(segments[1]) : nil
  }

  package var segments: [Substring] { text.split(separator: "/") }

  /// Why nobody may publish here, or `nil`. Participants publish below `rooms/` through their room, not by path.
  package var publishRefusal: String? {
    let segments = segments
    if let first = segments.first.map(String.init), Self.reservedFirst.contains(first) {
      return "paths below \"\(first)/\" belong to the server"
    }
    if let last = segments.last.map(String.init), Self.reservedLast.contains(last) {
      return "paths that end in \"/\(last)\" belong to the server"
    }
    return nil
  }
}

package import MartletPrimitives

/// A channel's name: `room-7`, `chat/general`. What stands before the first `/` is its namespace, whose options come from the
/// configuration.
package struct ChannelName: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package var description: String { text }

  package static let maximumBytes = 255

  /// Refuses empty and dot segments and control characters: a name is also part of a URL.
  package init(_ text: String) throws(ParseError) {
    guard text.utf8.count <= Self.maximumBytes else { throw .limit("a channel's name in bytes", maximum: Self.maximumBytes) }
    for segment in text.split(separator: "/", omittingEmptySubsequences: false) {
      guard !segment.isEmpty, segment != ".", segment != ".." else { throw .invalid("an empty or dot segment in a channel's name", at: 0) }
      guard segment.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
        throw .invalid("a control character in a channel's name", at: 0)
      }
    }
    self.text = text
  }

  /// Empty when the name has one segment.
  package var namespace: Substring {
    guard let slash = text.firstIndex(of: "/") else { return "" }
    return text[..<slash]
  }

  /// Only the server itself publishes there: how uploads go, and what happens in rooms.
  package var isServerOnly: Bool { namespace == "files" || isOfRoom }

  /// The worker that assigns its offsets: depends on the name alone. All channels of a room have one.
  internal func home(among count: Int) -> Int { Int(StableHash.of((room ?? self).text) % UInt64(max(1, count))) }
}

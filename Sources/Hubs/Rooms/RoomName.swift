package import MartletMessages
package import MartletPrimitives

/// The name of a room: one segment of a URL. Its chat is the channel `rooms/NAME`, its participants' media the streams below that.
package struct RoomName: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  /// The chat.
  package let chat: ChannelName
  /// What all participants hear; only the server publishes there.
  package let events: ChannelName
  package var description: String { text }

  package static let maximumBytes = 128

  package init(_ text: String) throws(ParseError) {
    guard text.utf8.count <= Self.maximumBytes else { throw .limit("a room's name in bytes", maximum: Self.maximumBytes) }
    guard !text.contains("/") else { throw .invalid("a room's name has one segment", at: 0) }
    chat = try ChannelName(ChannelName.roomPrefix + text)
    events = try ChannelName(chat.text + "/events")
    self.text = text
  }

  /// What one participant hears. Whoever knows the key may.
  package func inbox(_ key: ParticipantKey) -> ChannelName? { try? ChannelName("\(chat.text)/inbox/\(key.text)") }
}

/// How the others of a room know somebody; also the last part of the streams that they publish.
package struct ParticipantID: Hashable, Sendable, CustomStringConvertible {
  package let text: String
  package var description: String { text }

  package init(random: inout RandomSource) { text = "p" + Hex.encode(random.bytes(5)) }

  /// As a peer wrote it; only those that are there mean anything.
  package init(_ text: String) { self.text = text }
}

/// What makes somebody a participant: 128 bits that nobody can guess.
package struct ParticipantKey: Hashable, Sendable {
  package let text: String

  package init(random: inout RandomSource) { text = Hex.encode(random.bytes(16)) }

  package init(_ text: String) { self.text = text }
}

internal import MartletMessages
internal import MartletPrimitives
internal import MartletSocketIO

/// A channel's message as a Socket.IO event: its own event's name, or `message`; the arguments are the payload, what is known of
/// it, and the offset by which the client may recover its connection.
internal enum SocketIOMessage {
  /// - Parameters:
  ///   - position: what the client has with this message: `NAME=EPOCH:OFFSET&…`, as several channels' cursors are written.
  internal static func event(_ message: Message, in channel: ChannelName, _ cursor: Cursor, position: String) -> SocketIOEvent {
    let draft = message.draft
    var about: JSON.Object = .init()
    about["channel"] = .string(channel.text)
    about["cursor"] = .string(cursor.description)
    about["time"] = .int(message.time.milliseconds)
    if !draft.contentType.isEmpty { about["type"] = .string(draft.contentType) }
    if let user = draft.user { about["user"] = .string(user) }
    let name = draft.event.isEmpty || SocketIOMessage.reserved.contains(draft.event) ? "message" : draft.event
    let isBinary = draft.kind == .binary
    return SocketIOEvent(
      name, [isBinary ? SocketIOPacket.placeholder(0) : value(draft), .object(about), .string(position)],
      attachments: isBinary ? [draft.payload] : [])
  }

  /// Names that clients keep for themselves.
  private static let reserved: Set<String> = [
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "presence", "lost",
  ]

  private static func value(_ draft: Draft) -> JSON {
    if draft.isJSON, let json = try? JSON(parsing: draft.payload.bytes) { return json }
    return .string(String(repairing: draft.payload.bytes))
  }

  internal static func presence(_ event: PresenceEvent) -> SocketIOEvent {
    SocketIOEvent("presence", [event.joined ? "join" : "leave", member(event.member), .string(event.channel.text)])
  }

  internal static func member(_ member: Member) -> JSON {
    var json = JSONWriter()
    MessageJSON.write(member, to: &json)
    return (try? JSON(parsing: json.bytes)) ?? .null
  }

  /// A draft from what a client emitted: a text, bytes or any JSON.
  internal static func draft(_ value: JSON, _ attachments: [Slice], options: JSON?) throws(ParseError) -> Draft {
    var command = JSON.Object()
    for name in ["type", "event", "key"] { command[name] = options?[name] }
    if let index = SocketIOPacket.attachmentIndex(of: value) {
      guard attachments.indices.contains(index) else { throw .invalid("an attachment is missing", at: 0) }
      command["b64"] = ""
      var draft = try MessageContent.draft(of: .object(command))
      draft.payload = attachments[index]
      return draft
    }
    command["data"] = value
    return try MessageContent.draft(of: .object(command))
  }
}

/// The encoded form of the newest message of each channel: everybody who is subscribed to that channel alone is sent the same.
internal final class SocketIOImages {
  private struct Image {
    let namespace: String
    let epoch: String
    let offset: Int
    let wire: [EngineMessage]
  }

  /// By the channel's log, in the few namespaces that reach it.
  private var newest: [ObjectIdentifier: Image] = [:]
  private static let limit = 1024

  internal func wire(_ message: Message, in log: ChannelLog, namespace: String) -> [EngineMessage] {
    let key = ObjectIdentifier(log)
    if let image = newest[key], image.offset == message.offset, image.namespace == namespace, image.epoch == log.epoch { return image.wire }
    let cursor = Cursor(epoch: log.epoch, offset: message.offset)
    let position = ChannelQuery.cursor([(log.name, cursor)])
    let wire = SocketIOMessage.event(message, in: log.name, cursor, position: position).packet(in: namespace).encoded
    if newest.count >= Self.limit { newest = [:] }
    newest[key] = Image(namespace: namespace, epoch: log.epoch, offset: message.offset, wire: wire)
    return wire
  }
}

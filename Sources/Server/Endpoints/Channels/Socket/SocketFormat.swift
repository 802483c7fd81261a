internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives

/// Messages as WebSocket frames, framed once for all subscribers: text frames with `MessageJSON`; binary frames with the same
/// JSON, without payload, behind its length in two bytes, and the payload behind it.
internal enum SocketFormat {
  internal static let plain = MessageFormat(name: "ws") { channel, cursor, message in
    guard message.draft.kind == .text else { return frame(.binary, binary(message, in: channel, cursor)) }
    var json = JSONWriter(capacity: message.payload.count + 160)
    MessageJSON.write(message, in: channel, cursor, to: &json)
    return frame(.text, json.bytes)
  }

  internal static func binary(_ message: Message, in channel: ChannelName, _ cursor: Cursor) -> [UInt8] {
    var json = JSONWriter()
    json.object { MessageJSON.head(message, in: channel, cursor, to: &$0) }
    var writer = ByteWriter()
    writer.u16(UInt16(clamping: json.bytes.count))
    return writer.bytes + json.bytes + message.payload.array
  }

  private static func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8]) -> Slice {
    Slice(WebSocketFrame.encode(opcode, payload.span.bytes))
  }
}

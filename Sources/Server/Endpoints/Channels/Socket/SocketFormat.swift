internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives

/// Messages as WebSocket frames, framed once for all subscribers: text frames with `MessageJSON`; binary frames with the same
/// JSON, without payload, behind its length in two bytes, and the payload behind it.
internal enum SocketFormat {
  internal static func plain() -> MessageFormat {
    MessageFormat(name: "ws") { channel, cursor, message in
      WebSocketImage(message.webSocketKind, payload(message, in: channel, cursor)).plain
    }
  }

  /// For connections that agreed on permessage-deflate: compressed once for all of them.
  internal static func compressed(_ pool: DeflatePool, _ settings: DeflateSettings, _ channels: ChannelConfiguration) -> MessageFormat {
    MessageFormat(name: "ws-deflate") { channel, cursor, message in
      var settings = settings
      if channels.options(of: channel).compressesBinary { settings.compressesBinary = true }
      return
        WebSocketImage(message.webSocketKind, payload(message, in: channel, cursor), compressor: pool, settings: settings)
        .bytes(compressed: true)
    }
  }

  private static func payload(_ message: Message, in channel: ChannelName, _ cursor: Cursor) -> Slice {
    guard message.draft.kind == .binary else {
      var json = JSONWriter(capacity: message.payload.count + 160)
      MessageJSON.write(message, in: channel, cursor, to: &json)
      return Slice(json.bytes)
    }
    var json = JSONWriter()
    json.object { MessageJSON.head(message, in: channel, cursor, to: &$0) }
    var writer = ByteWriter()
    writer.u16(UInt16(clamping: json.bytes.count))
    return Slice(writer.bytes + json.bytes + message.payload.array)
  }
}

extension Message {
  fileprivate var webSocketKind: WebSocketMachine.MessageKind { draft.kind == .text ? .text : .binary }
}

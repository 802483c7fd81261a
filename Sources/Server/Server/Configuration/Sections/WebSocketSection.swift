internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// WebSocket: limits, timeouts, compression, and whose pages may connect. For every endpoint alike.
internal enum WebSocketSection {
  static let section = SettingSection(
    "websocket", "WebSocket connections of every kind.",
    [
      SettingKey(
        "message", \.http.webSocket.limits.message, .bytes(1024...1 << 30),
        "A message that clients send, inflated; beyond, close code 1009."),
      SettingKey("frame", \.http.webSocket.limits.frame, .bytes(125...1 << 30), "One frame of it; beyond, 1009."),
      SettingKey(
        "fragments", \.http.webSocket.limits.fragments, .int(1...1_000_000), "Frames of one message; beyond, 1008."),
      SettingKey(
        "queue", \.http.webSocket.queue, .bytes(4096...1 << 30),
        "What may wait for a client that does not read; one message more, and it is closed with 1013."),
      SettingKey("ping", \.http.webSocket.ping, .duration(), "Quiet for this long, a client is sent a ping. 0 sends none."),
      SettingKey("idle", \.http.webSocket.idle, .duration(), "Quiet for this long, it is cut off. 0 never does."),
      SettingKey(
        "close_timeout", \.http.webSocket.closeTimeout, .duration(.milliseconds(100)...TimeSpan.days(1)),
        "For a client to answer our Close."),
      SettingKey(
        "origins", \.http.webSocket.origins, origins,
        "Whose pages may connect besides our own: cors for those of http.cors.origins, \"*\" for any, or a list of origins."),
    ],
    sections: [
      SettingSection(
        "deflate", "permessage-deflate, for clients that offer it.",
        [
          SettingKey("enabled", \.http.webSocket.deflate.isEnabled, .bool, "Accept it."),
          SettingKey("level", \.http.webSocket.deflate.level, level, "1 is fast, 9 is small."),
          SettingKey(
            "minimum", \.http.webSocket.deflate.minimumBytes, size, "Shorter messages go as they are."),
          SettingKey("binary", \.http.webSocket.deflate.compressesBinary, .bool, "Compress binary messages too."),
          SettingKey(
            "server_context", \.http.webSocket.deflate.keepsOwnWindow, .bool,
            "Keep our window between messages: 260 KiB a connection, and each broadcast is compressed for each subscriber."),
          SettingKey(
            "client_context", \.http.webSocket.deflate.keepsPeerWindow, .bool,
            "Let clients keep theirs: 44 KiB a connection."),
        ])
    ])

  private static let level = SettingType<UInt8>.scalar("a whole number, 1 to 9") { text in
    UInt8(text).flatMap { (1...9).contains($0) ? $0 : nil }
  } write: {
    "\($0)"
  }

  /// RFC 7692 allows any; below 256 bytes compression costs more than it saves.
  private static let size = SettingType<UInt32>.scalar("a size from 256 to 1MiB, such as 1KiB") { text in
    ByteSize.parse(text).flatMap { (256...1 << 20).contains($0) ? UInt32($0) : nil }
  } write: {
    ByteSize.text(Int($0))
  }

  private static let origins = SettingType<WebSocketOrigins?>("cors, \"*\" or a list of origins") { node throws(SettingProblem) in
    if case .scalar("cors", _) = node.content { return .some(nil) }
    if case .scalar("*", _) = node.content { return .some(.any) }
    return .some(.exactly(Set(try SettingType.list(of: HTTPSection.origin).read(node))))
  } write: { origins in
    switch origins {
    case .exactly(let list): SettingType.list(of: HTTPSection.origin).write(list.sorted())
    case .any: "\"*\""
    default: "cors"
    }
  }
}

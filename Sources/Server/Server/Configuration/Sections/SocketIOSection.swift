internal import MartletEndpoints
internal import MartletPrimitives
internal import MartletSocketIO

/// Socket.IO.
internal enum SocketIOSection {
  static let section = SettingSection(
    "socketio", "Socket.IO 3 and 4 clients (Engine.IO 4). Other sites' pages need http.cors.",
    [
      SettingKey("enabled", \.socketIO.isEnabled, .bool, "Answer Socket.IO clients."),
      SettingKey("path", \.socketIO.path, path, "Where; the path option of clients.", example: "/realtime/socket.io/"),
      SettingKey(
        "namespaces", \.socketIO.namespaces, .list(of: namespace), "Clients that ask for another one are refused.",
        example: "[/, /chat]"),
      SettingKey(
        "ping_interval", \.socketIO.engine.pingInterval, .duration(.milliseconds(100)...TimeSpan.seconds(600)),
        "Between a client's answer to a ping and the next ping."),
      SettingKey(
        "ping_timeout", \.socketIO.engine.pingTimeout, .duration(.milliseconds(100)...TimeSpan.seconds(600)),
        "A client that does not answer a ping for this long is closed."),
      SettingKey(
        "connect_timeout", \.socketIO.connectTimeout, .duration(.milliseconds(100)...TimeSpan.seconds(600)),
        "A client that joins no namespace for this long is closed."),
      SettingKey(
        "upgrade_timeout", \.socketIO.engine.upgradeTimeout, .duration(.milliseconds(100)...TimeSpan.seconds(600)),
        "How long the change from polling to a WebSocket may take."),
      SettingKey("upgrades", \.socketIO.engine.allowsUpgrades, .bool, "Offer polling clients a WebSocket."),
      SettingKey(
        "max_payload", \.socketIO.engine.limits.payloadBytes, .bytes(1024...64 << 20),
        "The body of a request, a WebSocket message; clients are told."),
      SettingKey(
        "attachments", \.socketIO.limits.attachments, .int(0...1000), "Binary arguments of one packet."),
      SettingKey(
        "attachment_bytes", \.socketIO.limits.attachmentBytes, .bytes(1024...64 << 20), "All of them together."),
      SettingKey(
        "queue", \.socketIO.engine.limits.queuedBytes, .bytes(64 << 10...64 << 20),
        "What may wait for a client that does not ask or read; beyond it is closed."),
      SettingKey("sessions", \.socketIO.maximumSessions, .int(1...10_000_000), "Sessions on each worker."),
      SettingKey(
        "cookie", \.socketIO.cookie, cookie, "The name of a cookie with the session's id, for load balancers. Empty sets none.",
        example: "io"),
    ])

  private static let path = SettingType<String>.scalar("a path such as /socket.io/") { text in
    text.hasPrefix("/") && text.utf8.count > 1 && !text.contains("//") && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } ? text : nil
  } write: {
    YAMLText.quoted($0)
  }

  private static let namespace = SettingType<String>.scalar("a namespace such as / or /chat") { text in
    text.hasPrefix("/") && !text.contains(",") && !text.contains("?") ? text : nil
  } write: {
    YAMLText.quoted($0)
  }

  private static let cookie = SettingType<String>.scalar("the name of a cookie") { text in
    text.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == UInt8(ascii: "_")
        || byte == UInt8(ascii: "-")
    } ? text : nil
  } write: {
    YAMLText.quoted($0)
  }
}

internal import MartletHTTP
internal import MartletWeb

/// What the whole server holds at most.
internal enum LimitsSection {
  static let section = SettingSection(
    "limits", "What peers may take of the server together.",
    [
      SettingKey(
        "connections", \.limits.connections, .int(0...10_000_000, zero: "what the descriptor limit allows"),
        "Connections over all listeners; the one beyond is refused in words."),
      SettingKey(
        "connections_per_address", \.limits.connectionsPerAddress, .int(0...10_000_000, zero: "no limit"),
        "Connections from one address. Loopback is exempt."),
      SettingKey(
        "request_line", \.http.limits.startLine, .bytes(256...1 << 20), "An HTTP request's first line; beyond, 414."),
      SettingKey(
        "request_header", \.http.limits.fieldBytes, .bytes(1024...1 << 20), "All header fields of an HTTP request; beyond, 431."),
      SettingKey("request_fields", \.http.limits.fields, .int(8...10_000), "Header fields of an HTTP request; beyond, 431."),
    ])
}

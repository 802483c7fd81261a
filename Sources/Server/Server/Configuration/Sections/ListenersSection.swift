internal import MartletPrimitives

/// Where each protocol listens.
internal enum ListenersSection {
  static let section = SettingSection(
    "listeners", "Where each protocol listens: ADDRESS:PORT, \":PORT\" for every address, or off.",
    [
      SettingKey(
        "http", \.listeners.http, .listener, "HTTP and WebSocket: players, HTTP-FLV, HLS, REST, the dashboard.", flag: "http",
        environment: "MARTLET_HTTP"),
      SettingKey(
        "https", \.listeners.https, .listener, "The same over TLS, with HTTP/2.", flag: "https", environment: "MARTLET_HTTPS"),
      SettingKey("rtmp", \.listeners.rtmp, .listener, "RTMP publish and play.", flag: "rtmp", environment: "MARTLET_RTMP"),
      SettingKey("rtmps", \.listeners.rtmps, .listener, "RTMP over TLS.", flag: "rtmps", environment: "MARTLET_RTMPS"),
      SettingKey(
        "webrtc", \.listeners.webrtc, .listener,
        "WebRTC media over UDP and TCP: the port of the first worker; each next worker has the next port (but webrtc.single_port).",
        flag: "webrtc",
        environment: "MARTLET_WEBRTC"),
      SettingKey(
        "turn", \.listeners.turn, .listener, "STUN and TURN over UDP and TCP. Relaying begins with turn.users or turn.secrets.",
        flag: "turn", environment: "MARTLET_TURN"),
      SettingKey("turns", \.listeners.turns, .listener, "STUN and TURN over TLS.", flag: "turns", environment: "MARTLET_TURNS"),
    ])
}

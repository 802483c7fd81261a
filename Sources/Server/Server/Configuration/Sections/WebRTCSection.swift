internal import MartletEndpoints
internal import MartletPrimitives

/// WebRTC: WHIP and WHEP.
internal enum WebRTCSection {
  static let section = SettingSection(
    "webrtc", "Publishing and watching by WebRTC (WHIP, WHEP).",
    [
      SettingKey(
        "addresses", \.webrtc.addresses, .list(of: .text),
        "Addresses or host names under which peers reach this machine, behind a NAT for instance. Without, those of its interfaces."),
      SettingKey(
        "ice_servers", \.webrtc.iceServers, .list(of: iceServer),
        "STUN and TURN servers that WHIP and WHEP clients are told of."),
      SettingKey("sessions", \.webrtc.sessions, .int(1...1_000_000), "Sessions of one worker."),
    ])

  private static let iceServer = SettingType<String>.scalar("a stun:, turn: or turns: URL") { text in
    ["stun:", "stuns:", "turn:", "turns:"].contains { text.hasPrefix($0) && text.count > $0.count } ? text : nil
  } write: {
    $0
  }
}

internal import MartletEndpoints
internal import MartletPrimitives

/// WebRTC: WHIP and WHEP.
internal enum WebRTCSection {
  static let section = SettingSection(
    "webrtc", "Publishing and watching by WebRTC (WHIP, WHEP).",
    [
      SettingKey(
        "addresses", \.webrtc.addresses, .list(of: address),
        "Where peers reach this machine, behind a NAT for instance: addresses, host names (resolved again every five minutes), or "
          + "stun:HOST:PORT, a server that tells how it sees the media port. Without an address or a name, those of its interfaces."),
      SettingKey(
        "tcp", \.webrtc.takesTCP, .bool, "Takes peers over TCP too, on the port numbers of UDP, for networks that let no UDP through."),
      SettingKey(
        "single_port", \.webrtc.usesSinglePort, .bool,
        "All workers share the port of listeners.webrtc; without, each has its own, which costs less."),
      SettingKey(
        "ice_servers", \.webrtc.iceServers, .list(of: iceServer),
        "STUN and TURN servers that WHIP and WHEP clients are told of."),
      SettingKey("sessions", \.webrtc.sessions, .int(1...1_000_000), "Sessions of one worker."),
    ])

  private static let address = SettingType<AnnouncedAddress>.scalar("an address, a host name, or stun:HOST[:PORT]") {
    AnnouncedAddress($0)
  } write: {
    "\($0)"
  }

  private static let iceServer = SettingType<String>.scalar("a stun:, turn: or turns: URL") { text in
    ["stun:", "stuns:", "turn:", "turns:"].contains { text.hasPrefix($0) && text.count > $0.count } ? text : nil
  } write: {
    $0
  }
}

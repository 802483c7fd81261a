internal import MartletPrimitives

/// Where a STUN or TURN server is: `stun:HOST[:PORT]` (RFC 7064), `turn:` and `turns:HOST[:PORT][?transport=udp|tcp]` (RFC 7065).
struct ICEServerURL: Equatable {
  enum Transport: Equatable { case udp, tcp, tls, dtls }

  /// As the application wrote it.
  let text: String
  let relays: Bool
  let host: String
  let port: UInt16
  let transport: Transport

  init(_ text: String) throws(PeerError) {
    func malformed(_ what: String) -> PeerError { PeerError(.syntax, "the ICE server \(text): \(what)") }
    guard let colon = text.firstIndex(of: ":") else { throw malformed("no scheme, such as stun: or turn:") }
    let scheme = text[..<colon].lowercased()
    let parts = text[text.index(after: colon)...].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard ["stun", "turn", "turns"].contains(scheme) else { throw malformed("the scheme is none of stun, turn and turns") }
    guard scheme != "stun" || parts.count == 1 else { throw malformed("a stun URL has no query") }
    guard let (host, port) = Self.authority(parts[0]) else { throw malformed("no host, or a port that is none") }
    let query = parts.count == 2 ? String(parts[1]) : nil
    guard let transport = Self.transport(scheme, query) else {
      throw malformed("the query is neither transport=udp nor transport=tcp")
    }
    self.text = text
    self.host = host
    self.port = port ?? (scheme == "turns" ? 5349 : 3478)
    self.transport = transport
    relays = scheme != "stun"
  }

  /// `turns` over UDP is DTLS (RFC 7350).
  private static func transport(_ scheme: String, _ query: String?) -> Transport? {
    switch (scheme, query?.lowercased()) {
    case ("turns", nil), ("turns", "transport=tcp"): .tls
    case ("turns", "transport=udp"): .dtls
    case ("turns", _): nil
    case (_, nil), ("turn", "transport=udp"): .udp
    case ("turn", "transport=tcp"): .tcp
    default: nil
    }
  }

  private static func authority(_ text: Substring) -> (String, UInt16?)? {
    let isBracketed = text.hasPrefix("[")
    guard let end = isBracketed ? text.firstIndex(of: "]").map({ text.index(after: $0) }) : text.firstIndex(of: ":") ?? text.endIndex
    else { return nil }
    let host = isBracketed ? text[..<end].dropFirst().dropLast() : text[..<end]
    let rest = text[end...]
    guard !host.isEmpty, !host.contains(where: { "/@ ".contains($0) }), !isBracketed || IPAddress(String(host)) != nil else { return nil }
    guard !rest.isEmpty else { return (String(host), nil) }
    guard rest.hasPrefix(":"), rest.dropFirst().utf8.allSatisfy({ (48...57).contains($0) }), let port = UInt16(rest.dropFirst()), port > 0
    else { return nil }
    return (String(host), port)
  }
}

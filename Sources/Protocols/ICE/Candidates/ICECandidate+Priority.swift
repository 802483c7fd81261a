extension ICECandidate {
  /// RFC 8445 §5.1.2.1. `preference` is 65,535 for the only address, less for those that are liked less.
  package static func priority(
    _ type: ICECandidateType, _ transport: ICETransport, _ tcpType: ICETCPType? = nil, preference: UInt16 = .max, component: Int = 1
  ) -> UInt32 {
    let local = tcpType.map { direction($0, type) << 13 | UInt32(preference >> 3) } ?? UInt32(preference)
    return type.preference(transport) << 24 | local << 8 | UInt32(256 - min(max(component, 1), 256))
  }

  /// RFC 6544 §4.2: what a NAT lets through is preferred, which depends on who is behind it.
  private static func direction(_ tcpType: ICETCPType, _ type: ICECandidateType) -> UInt32 {
    switch (tcpType, type) {
    case (.active, .host), (.active, .relayed): 6
    case (.passive, .host), (.passive, .relayed): 4
    case (.simultaneousOpen, .host), (.simultaneousOpen, .relayed): 2
    case (.simultaneousOpen, _): 6
    case (.active, _): 4
    case (.passive, _): 2
    }
  }
}

extension ICECandidateType {
  /// RFC 8445 §5.1.2.2; TCP below UDP (RFC 6544 §4.2), where a lost packet holds up all that follow.
  func preference(_ transport: ICETransport) -> UInt32 {
    let datagram: UInt32 =
      switch self {
      case .host: 126
      case .peerReflexive: 110
      case .serverReflexive: 100
      case .relayed: 36
      }
    return transport == .udp ? datagram : datagram - 36
  }
}

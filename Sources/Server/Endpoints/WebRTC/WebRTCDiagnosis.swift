internal import MartletCrypto
internal import MartletICE
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletWebRTC

/// Why a session did not come about, for the person who runs the server: what was offered, what came in, what to change.
internal struct WebRTCDiagnosis {
  private let peer: PeerSession
  private let client: ClientInfo
  private let port: UInt16
  private let takesTCP: Bool

  internal init(_ peer: PeerSession, of client: ClientInfo, port: UInt16, takesTCP: Bool) {
    self.peer = peer
    self.client = client
    self.port = port
    self.takesTCP = takesTCP
  }

  internal var text: String {
    switch (peer.transport.selectedPair, peer.transport.dtls?.state) {
    case (let pair?, _):
      "ICE found a path over \(pair.base.transport == .udp ? "UDP" : "TCP"), and DTLS did not get through it: \(heard). "
        + "Datagrams of 1200 bytes may not pass (MTU)"
    case (nil, _?): "DTLS began and the path was lost: \(heard)"
    case (nil, nil): "offered \(list(peer.transport.localCandidates)); the peer \(theirs); \(heard). \(advice)"
    }
  }

  private var theirs: String {
    let candidates = peer.transport.remoteCandidates.filter { $0.type != .peerReflexive }
    return candidates.isEmpty ? "told no candidates" : "told \(list(candidates))"
  }

  private func list(_ candidates: [ICECandidate]) -> String {
    candidates.map { candidate in
      // The port of one that only connects means nothing (RFC 6544 §4.5).
      let port = candidate.tcpType == .active ? "" : " port \(candidate.port)"
      return "\(candidate.host)\(port) (\(candidate.type.rawValue)\(candidate.transport == .tcp ? ", TCP" : ""))"
    }.joined(separator: ", ")
  }

  private var heard: String {
    guard peer.bytesReceived > 0 else { return takesTCP ? "nothing came in, over UDP or TCP" : "nothing came in" }
    let checked = peer.transport.pairs.filter { $0.counters.requestsReceived > 0 }.map { pair in
      "\(pair.remote.host) (\(pair.local.transport == .udp ? "UDP" : "TCP"))"
    }
    let drops = peer.drops.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return "\(peer.bytesReceived) bytes came in" + (checked.isEmpty ? "" : ", checks from \(checked.joined(separator: ", "))")
      + (drops.isEmpty ? "" : ", dropped: \(drops)")
  }

  private var ports: String {
    takesTCP ? "UDP and TCP through to port \(port)" : "UDP through to port \(port) (webrtc.tcp would take TCP there too)"
  }

  private var advice: String {
    if peer.transport.pairs.contains(where: { $0.counters.requestsReceived > 0 }) {
      return "The peer checked paths and chose none: its answers may be lost, so let \(ports), in both directions"
    }
    if peer.bytesReceived > 0 {
      return "What came in passed no check: the peer may use the answer of another session, as with a proxy that keeps answers"
    }
    let offered = peer.transport.localCandidates.compactMap { $0.address?.ip }
    if !client.remote.ip.isSpecialPurpose, !offered.contains(where: { !$0.isSpecialPurpose }) {
      return "The peer is on the Internet and only private addresses were offered: set webrtc.addresses to the address by which the "
        + "server is reached, and let \(ports)"
    }
    return "Let \(ports) of these addresses; if they are not those by which the peer reaches this server, set webrtc.addresses. A peer "
      + "whose network forbids this needs a TURN server (webrtc.ice_servers)"
  }
}

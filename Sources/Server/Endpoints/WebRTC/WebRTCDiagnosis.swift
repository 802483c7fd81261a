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

  internal init(_ peer: PeerSession, of client: ClientInfo, port: UInt16) {
    self.peer = peer
    self.client = client
    self.port = port
  }

  internal var text: String {
    switch (peer.transport.selectedPair, peer.transport.dtls?.state) {
    case (_?, _): "ICE found a path, and DTLS did not get through it: \(heard). Datagrams of 1200 bytes may not pass (MTU)"
    case (nil, _?): "DTLS began and the path was lost: \(heard)"
    case (nil, nil): "offered \(list(peer.transport.localCandidates)); the peer \(theirs); \(heard). \(advice)"
    }
  }

  private var theirs: String {
    let candidates = peer.transport.remoteCandidates
    return candidates.isEmpty ? "told no candidates" : "told \(list(candidates))"
  }

  private func list(_ candidates: [ICECandidate]) -> String {
    candidates.map { "\($0.host) port \($0.port) (\($0.type.rawValue)\($0.transport == .tcp ? ", TCP" : ""))" }.joined(separator: ", ")
  }

  private var heard: String {
    let drops = peer.drops.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return peer.bytesReceived == 0 ? "nothing came in" : "\(peer.bytesReceived) bytes came in\(drops.isEmpty ? "" : ", dropped: \(drops)")"
  }

  private var advice: String {
    if peer.bytesReceived > 0 {
      return "What came in passed no check: the peer may use the answer of another session, as with a proxy that keeps answers"
    }
    let offered = peer.transport.localCandidates.compactMap { $0.address?.ip }
    if !client.remote.ip.isSpecialPurpose, !offered.contains(where: { !$0.isSpecialPurpose }) {
      return "The peer is on the Internet and only private addresses were offered: set webrtc.addresses to the address by which the "
        + "server is reached, and let UDP through to port \(port)"
    }
    return "Let UDP through to port \(port) of these addresses; if they are not those by which the peer reaches this server, set "
      + "webrtc.addresses"
  }
}

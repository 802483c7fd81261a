internal import MartletICE
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletWebRTC

// What became of sessions: for the log, the metrics, and for the person who asks why there is no picture.
extension WebRTCListener {
  internal func didConnect(_ session: any WebRTCSession, _ client: ClientInfo) {
    guard let pair = session.peer.transport.selectedPair else { return }
    let kind = "\(pair.remoteType.rawValue)-\(pair.base.transport == .udp ? "udp" : "tcp")"
    connectedByPair[kind, default: 0] += 1
    context.log(
      .info, client.transport, "\(client.path): connected to \(pair.remote) (\(kind))",
      ["client": client.id, "srtp": session.peer.transport.srtpProfile.map { "\($0)" } ?? "none"])
  }

  /// Says which candidates were offered, what came in, and which setting to change.
  internal func didFail(_ session: any WebRTCSession, _ client: ClientInfo) {
    failed += 1
    let transport = session.peer.transport
    guard transport.dtls == nil else { return }
    let offered = transport.localCandidates.map { "\($0.host):\($0.port)" }.joined(separator: ", ")
    let heard = session.peer.bytesReceived == 0 ? "nothing came in" : "\(session.peer.bytesReceived) bytes came in, and no check passed"
    context.log(
      .warning, client.transport,
      "\(client.path): no candidate reached the peer: offered \(offered); \(heard). If these addresses cannot be reached from where the "
        + "peer is, set webrtc.addresses, and let UDP through to port \(socket?.socket.local.port ?? 0)", ["client": client.id])
  }
}

internal import MartletCodecs
internal import MartletICE
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletWebRTC

/// A browser or encoder that publishes by WebRTC: all its sections are one stream.
internal final class WHIPPublisher: WebRTCMediaSession, PeerSessionHandler, PacketPublishingOwner {
  internal let id: String
  internal let peer: PeerSession
  internal let resource: String
  internal var etag: String { "\"\(peer.transport.localCredentials.fragment)\"" }
  internal let client: ClientInfo
  internal var outgoingCodecs: [Codec?] { [] }
  private let listener: WebRTCListener
  private let admission: Admission
  private var publishing: PacketPublishing?
  private var isEnded = false

  internal init(
    _ id: String, resource: String, peer: PeerSession, answer: SessionAnswer, client: ClientInfo, listener: WebRTCListener,
    admission: Admission
  ) throws(PublishError) {
    self.id = id
    self.resource = resource
    self.peer = peer
    self.client = client
    self.listener = listener
    self.admission = admission
    let sections = answer.incoming.enumerated().map { (index: $0, section: $1) }
    publishing = try PacketPublishing(sections, of: peer, as: client, listener: listener, hub: admission.hub, owner: self)
    peer.handler = self
  }

  internal func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    publishing?.receive(packet, in: buffer)
  }

  internal func sessionDidReceiveBatch(_ session: PeerSession) {
    publishing?.didReceiveBatch()
    session.ownDeadline = publishing?.deadline
  }

  internal func sessionDidWake(_ session: PeerSession) { publishing?.timeout() }

  // MARK: Life

  internal func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    switch state {
    case .connected: listener.didConnect(self)
    case .failed:
      listener.didFail(self)
      end(session.transport.failure ?? "failed")
    case .closed: end("closed by the publisher")
    case .new, .connecting, .disconnected: break
    }
  }

  internal func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {}

  internal func publishing(_ publishing: PacketPublishing, wasRevoked reason: KickReason) { end("\(reason)") }

  internal func end(_ reason: String) {
    guard !isEnded else { return }
    isEnded = true
    listener.context.log(.info, "whip", "\(client.path): publisher left: \(reason)", ["client": client.id])
    publishing?.finish()
    peer.close()
    listener.didEnd(self)
    admission.access.sessionDidEnd(client)
  }
}

internal import MartletCodecs
internal import MartletICE
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletWebRTC

/// A viewer by WebRTC: one stream, forwarded to one peer.
internal final class WHEPViewer: WebRTCMediaSession, PeerSessionHandler, StreamForwardingOwner {
  internal let id: String
  internal let peer: PeerSession
  internal let resource: String
  internal var client: ClientInfo { reader.client }
  internal var outgoingCodecs: [Codec?] { forwarding?.codecs ?? [] }
  internal var leftOut: Int { forwarding?.leftOut ?? 0 }
  internal var etag: String { "\"\(peer.transport.localCredentials.fragment)\"" }
  private let reader: PacketReader
  private let listener: WebRTCListener
  private let admission: Admission
  private var forwarding: StreamForwarding?
  private var isEnded = false

  internal init(
    _ id: String, resource: String, peer: PeerSession, answer: SessionAnswer, reader: PacketReader, layer: String?,
    listener: WebRTCListener, admission: Admission
  ) {
    self.id = id
    self.resource = resource
    self.peer = peer
    self.reader = reader
    self.listener = listener
    self.admission = admission
    peer.publisherClocks = Array(repeating: nil, count: answer.outgoing.count)
    peer.handler = self
    let senders = answer.outgoing.enumerated().map { StreamForwarding.Sender($1.forwarded, outgoing: $0) }
    forwarding = StreamForwarding(reader, to: peer, senders, layer: layer, hub: admission.hub, in: listener.context, owner: self)
  }

  internal func forwarding(_ forwarding: StreamForwarding, didEnd reason: String) { end(reason) }

  // MARK: The peer

  internal func session(_ session: PeerSession, didReceive event: PeerMedia.Event) {
    switch event {
    case .missing(let index, let lost): forwarding?.retransmit(index, lost)
    case .keyFrameRequested(let index): forwarding?.needsKeyFrame(index)
    case .goodbye: break
    }
  }

  internal func sessionDidReceiveBatch(_ session: PeerSession) { forwarding?.peerDidReceiveBatch() }

  internal func session(_ session: PeerSession, didChange state: PeerTransport.State) {
    switch state {
    case .connected:
      listener.didConnect(self)
      forwarding?.forward()
    case .failed:
      listener.didFail(self)
      end(session.transport.failure ?? "failed")
    case .closed: end("closed by the viewer")
    case .new, .connecting, .disconnected: break
    }
  }

  internal func end(_ reason: String) {
    guard !isEnded else { return }
    isEnded = true
    listener.context.log(.info, "whep", "\(reader.ring.path): viewer left: \(reason)", ["client": client.id])
    forwarding?.end()
    peer.close()
    listener.didEnd(self)
    admission.access.sessionDidEnd(client)
  }
}

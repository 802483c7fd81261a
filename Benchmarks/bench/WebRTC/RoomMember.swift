internal import MartletPeerEngine
internal import MartletWebRTC

/// Who publishes and watches the others, over one connection.
internal final class RoomMember: LoadRole {
  private let source: MediaSource
  private let sink: MediaSink

  internal init(bitrate: Int, others: Int) {
    source = MediaSource(bitrate: bitrate)
    sink = MediaSink(of: others, hasVideo: bitrate > 0)
  }

  internal func prepare(_ negotiation: inout PeerNegotiation) throws(NegotiationError) {
    try source.prepare(&negotiation)
    try sink.prepare(&negotiation)
  }

  internal func didConnect(_ peer: LoadPeer) { source.didConnect(peer) }

  internal func peer(_ peer: LoadPeer, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    sink.peer(peer, didReceive: packet, in: buffer)
  }

  internal func peer(_ peer: LoadPeer, didReceive event: PeerMedia.Event) { source.peer(peer, didReceive: event) }

  internal func measure(_ peer: LoadPeer) { sink.measure(peer) }

  internal func report(_ peer: LoadPeer, into totals: inout LoadTotals) { sink.report(peer, into: &totals) }

  internal func stop(_ peer: LoadPeer) { source.stop(peer) }
}

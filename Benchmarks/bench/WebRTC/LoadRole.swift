internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP

/// What a peer of the load does once it is connected.
internal protocol LoadRole: AnyObject {
  /// What is offered. Nothing is for who answers.
  func prepare(_ negotiation: inout PeerNegotiation) throws(NegotiationError)
  /// The path and the keys are there.
  func didConnect(_ peer: LoadPeer)
  func didEnableChannels(_ peer: LoadPeer)
  func peer(_ peer: LoadPeer, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer)
  func peer(_ peer: LoadPeer, didReceive event: PeerMedia.Event)
  func peer(_ peer: LoadPeer, didReceive event: DataChannelEvent)
  /// What is counted begins anew.
  func measure(_ peer: LoadPeer)
  func report(_ peer: LoadPeer, into totals: inout LoadTotals)
  /// Ends what goes on by itself, and asks the other end what came of it.
  func stop(_ peer: LoadPeer)
}

extension LoadRole {
  internal func didConnect(_ peer: LoadPeer) {}
  internal func didEnableChannels(_ peer: LoadPeer) {}
  internal func peer(_ peer: LoadPeer, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {}
  internal func peer(_ peer: LoadPeer, didReceive event: PeerMedia.Event) {}
  internal func peer(_ peer: LoadPeer, didReceive event: DataChannelEvent) {}
  internal func measure(_ peer: LoadPeer) {}
  internal func report(_ peer: LoadPeer, into totals: inout LoadTotals) {}
  internal func stop(_ peer: LoadPeer) {}
}

/// What all peers of a load counted since `measure`.
internal struct LoadTotals {
  internal var packets = 0
  internal var bytes = 0
  /// Packets that were sent and did not come.
  internal var missed = 0
  /// Those that came when they were asked for again.
  internal var recovered = 0
  internal var latencies: [Int64] = []
  /// Bytes of messages that left or came.
  internal var dataBytes = 0

  internal func report(seconds: Double) -> JSON {
    let latency = Tally.percentiles(latencies)
    return [
      "packets": .int(Int64(packets)), "bytes": .int(Int64(bytes)), "missed": .int(Int64(missed)), "recovered": .int(Int64(recovered)),
      "data_bytes": .int(Int64(dataBytes)),
      "seconds": .double(seconds), "latency_ms": ["p50": .double(latency.p50), "p99": .double(latency.p99)],
    ]
  }
}

internal import MartletIO
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// A viewer: counts packets and reads their clocks. It offers to receive, or answers who offers to send.
internal final class MediaSink: LoadRole {
  private let publishers: Int
  private let hasVideo: Bool

  /// What came of one stream since `measure`.
  private struct Counted {
    var first: UInt64?
    var last: UInt64 = 0
    var received = 0

    mutating func count(_ number: UInt64) {
      if first == nil { (first, last) = (number, number) }
      received += 1
      last = max(last, number)
    }

    var missed: Int { first.map { max(0, Int(last &- $0) + 1 - received) } ?? 0 }
  }

  /// By `IncomingMedia.streams`.
  private var streams: [Counted] = []
  private var bytes = 0, recoveredBefore = 0
  private var latencies: [Int64] = []
  private var hasPicture = false, hasKeyFrame = false, hasSound = false

  /// - Parameter publishers: whose sound, and pictures, it offers to receive.
  internal init(of publishers: Int = 1, hasVideo: Bool = true) {
    self.publishers = publishers
    self.hasVideo = hasVideo
  }

  internal func prepare(_ negotiation: inout PeerNegotiation) throws(NegotiationError) {
    for _ in 0..<publishers {
      try negotiation.addTransceiver(.audio, .recvonly)
      if hasVideo { try negotiation.addTransceiver(.video, .recvonly) }
    }
  }

  internal func peer(_ peer: LoadPeer, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {
    let isVideo = peer.session.media.incoming.streams[packet.stream].isVideo
    let payload = UnsafeRawBufferPointer(rebasing: buffer[packet.payload])
    guard let stamp = PacketStamp(endOf: payload) else { return }
    if isVideo, !hasPicture {
      hasPicture = true
      peer.tell("video")
    }
    if packet.startsKeyFrame, !hasKeyFrame {
      hasKeyFrame = true
      peer.tell("key")
    }
    if !isVideo, !hasSound {
      hasSound = true
      peer.tell("audio")
    }
    while streams.count <= packet.stream { streams.append(Counted()) }
    streams[packet.stream].count(stamp.number)
    bytes += packet.range.count
    if peer.isMeasuring { latencies.append((peer.context.now - stamp.sent).nanoseconds) }
  }

  internal func measure(_ peer: LoadPeer) {
    (streams, bytes, latencies) = ([], 0, [])
    recoveredBefore = recovered(peer)
  }

  internal func report(_ peer: LoadPeer, into totals: inout LoadTotals) {
    for stream in streams {
      totals.packets += stream.received
      totals.missed += stream.missed
    }
    totals.recovered += recovered(peer) - recoveredBefore
    totals.bytes += bytes
    totals.latencies += latencies
  }

  private func recovered(_ peer: LoadPeer) -> Int { peer.session.media.incoming.streams.reduce(0) { $0 + Int(clamping: $1.recovered) } }
}

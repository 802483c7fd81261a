package import MartletCodecs
internal import MartletCrypto
internal import MartletICE
internal import MartletIO
package import MartletMedia
internal import MartletPeerEngine
package import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// A WHIP or WHEP session as it stands, as values.
package struct WebRTCReport: Sendable {
  /// The two ends of the path in use.
  package struct Pair: Sendable {
    /// `prflx-udp`: how the peer is reached.
    package let kind: String
    /// `host`, `srflx`, `prflx` or `relay`.
    package let localType: String
    package let remoteType: String
    package let local: SocketAddress
    package let remote: SocketAddress
  }

  /// One encoding of one track, as it comes or goes.
  package struct Track: Sendable {
    package let kind: MediaKind
    package let codec: String
    /// The rid of one of several sizes.
    package let layer: String?
    package let packets: Int
    package let bytes: Int
    package let lost: Int
    /// Share of the packets between the last two reports, 0 to 1.
    package let loss: Double?
    package let jitter: TimeSpan
    /// To a viewer: packets sent again. From a publisher: packets that came after they had been asked for again.
    package let retransmissions: Int
    /// Packets that FEC brought back, or that were sent as FEC.
    package let repaired: Int
    package let keyFrameRequests: Int
  }

  package let client: ClientInfo
  /// `connecting`, `connected`, `disconnected` or `failed`.
  package let state: String
  /// As they are in SDP.
  package let localCandidates: [String]
  package let remoteCandidates: [String]
  package let pair: Pair?
  package let roundTrip: TimeSpan?
  /// What the path to a viewer is thought to carry, in bits a second, and what says so (`start`, `delay`, `loss` or `remb`); `nil`
  /// where nothing does.
  package let estimate: (bitrate: Int, reason: String)?
  /// Packets of pictures that a viewer was not sent, since they would have come too late.
  package let leftOut: Int
  /// Bits of the last second.
  package let bitrateIn: Int
  package let bitrateOut: Int
  package let bytesIn: Int
  package let bytesOut: Int
  package let packetsIn: Int
  package let packetsOut: Int
  package let tracks: [Track]
  package let cipher: String?
  package let srtpProfile: String?
  /// By reason; only those that happened.
  package let drops: [String: Int]
  // Of one that failed:
  package let failedAt: WallTime?
  package let failure: String?
  /// What to look at, and what to change.
  package let diagnosis: String?
  /// What ICE did, with the time since it began.
  package let trace: [(TimeSpan, String)]
}

extension WebRTCReport {
  /// - Parameters:
  ///   - port: that peers send to; `takesTCP` too.
  ///   - time: of the failure, where there was one.
  internal init(_ session: any WebRTCMediaSession, port: UInt16, takesTCP: Bool, at time: WallTime) {
    let peer = session.peer
    let transport = peer.transport
    let hasFailed = transport.state == .failed
    client = session.client
    state = "\(transport.state)"
    localCandidates = transport.localCandidates.map { "\($0)" }
    remoteCandidates = transport.remoteCandidates.map { "\($0)" }
    pair = transport.selectedPair.map { Pair($0, transport) }
    tracks =
      peer.media.incoming.streams.map { Track($0) }
      + zip(peer.media.outgoing, session.outgoingCodecs).compactMap { track, codec in codec.flatMap { Track(track, $0) } }
    roundTrip = peer.media.roundTrip
    estimate = (peer.media.congestion?.estimate).map { ($0.bitsPerSecond, $0.reason.rawValue) }
    leftOut = session.leftOut
    (bitrateIn, bitrateOut) = peer.bitrates
    (bytesIn, bytesOut) = (peer.bytesReceived, peer.bytesSent)
    (packetsIn, packetsOut) = (peer.packetsReceived, peer.packetsSent)
    cipher = transport.dtls?.cipher
    srtpProfile = transport.srtpProfile.map(Self.name)
    drops = peer.drops
    failedAt = hasFailed ? time : nil
    failure = hasFailed ? transport.failure : nil
    diagnosis = hasFailed ? WebRTCDiagnosis(peer, of: client, port: port, takesTCP: takesTCP).text : nil
    let start = transport.trace.first?.time ?? .zero
    trace = hasFailed ? transport.trace.map { ($0.time - start, Self.text($0.fact)) } : []
  }

  /// As IANA registers them (RFC 5764, RFC 7714).
  private static func name(_ profile: SRTPProfile) -> String {
    switch profile {
    case .aes128CounterModeHMACSHA1_80: "AES128_CM_HMAC_SHA1_80"
    case .aes128CounterModeHMACSHA1_32: "AES128_CM_HMAC_SHA1_32"
    case .aeadAES128GCM: "AEAD_AES_128_GCM"
    case .aeadAES256GCM: "AEAD_AES_256_GCM"
    }
  }

  private static func text(_ fact: ICETraceEntry.Fact) -> String {
    switch fact {
    case .state(let state): "the state is \(state.rawValue)"
    case .remoteCandidate(let type): "the peer has a candidate of type \(type.rawValue)"
    case .check(let pair): "pair \(pair) is checked"
    case .succeeded(let pair): "pair \(pair) works"
    case .failed(let pair, let why): "pair \(pair) failed: \(why)"
    case .nominated(let pair): "pair \(pair) is nominated"
    case .selected(let pair): "pair \(pair) is used"
    case .role(let role): "the role is \(role)"
    case .restarted: "ICE began anew"
    }
  }
}

extension WebRTCReport.Pair {
  fileprivate init(_ pair: ICESelectedPair, _ transport: PeerTransport) {
    kind = pair.kind
    (localType, remoteType) = (pair.localType.rawValue, pair.remoteType.rawValue)
    remote = pair.remote
    // All candidates of a kind share one socket, which may be bound to all addresses: the one offered that could have been meant.
    let offered = transport.localCandidates.filter { $0.transport == pair.base.transport }.compactMap(\.address)
    local =
      offered.first { $0.ip.isV4 == pair.remote.ip.isV4 && $0.ip.isLoopback == pair.remote.ip.isLoopback } ?? pair.base.address
  }
}

extension ICESelectedPair {
  /// The name in metrics.
  internal var kind: String { "\(remoteType.rawValue)-\(base.transport == .udp ? "udp" : "tcp")" }
}

extension WebRTCReport.Track {
  fileprivate init(_ stream: IncomingStream) {
    let statistics = stream.statistics
    kind = stream.isVideo ? .video : .audio
    codec = stream.media.map { "\($0)" } ?? stream.codec.name
    layer = stream.rid
    (packets, bytes) = (Int(clamping: statistics.packets), Int(clamping: statistics.bytes))
    lost = max(0, Int(clamping: statistics.lost))
    loss = Double(statistics.fractionLost) / 256
    jitter = Self.span(statistics.jitter, statistics.clockRate)
    repaired = stream.recoveredByFEC
    // FEC's were never asked for, or in vain.
    retransmissions = max(0, Int(clamping: stream.recovered) - repaired)
    keyFrameRequests = Int(clamping: stream.keyFrameRequests)
  }

  /// `nil` for a section that nothing was sent in.
  fileprivate init?(_ track: OutgoingTrack, _ codec: Codec) {
    let statistics = track.statistics
    guard statistics.packets > 0 else { return nil }
    kind = codec.kind
    self.codec = "\(codec)"
    layer = nil
    (packets, bytes) = (Int(statistics.packets), Int(statistics.bytes))
    lost = max(0, Int(track.lastReport?.cumulativeLost ?? 0))
    loss = track.lastReport.map { Double($0.fractionLost) / 256 }
    jitter = Self.span(track.lastReport?.jitter ?? 0, statistics.clockRate)
    retransmissions = Int(clamping: track.retransmitted)
    repaired = track.repair?.count ?? 0
    keyFrameRequests = Int(clamping: track.keyFrameRequests)
  }

  private static func span(_ ticks: UInt32, _ rate: UInt32) -> TimeSpan {
    TimeSpan(nanoseconds: Int64(ticks) &* 1_000_000_000 / Int64(max(1, rate)))
  }
}

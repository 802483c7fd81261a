internal import MartletICE
internal import MartletPeerEngine
internal import MartletWebRTC

/// What sessions did, added up for the metrics.
package struct WebRTCTotals: Sendable {
  package private(set) var packetsIn = 0
  package private(set) var packetsOut = 0
  package private(set) var bytesIn = 0
  package private(set) var bytesOut = 0
  package private(set) var retransmissions = 0
  /// Bytes of probes that were nothing else.
  package private(set) var padding = 0
  /// Packets of pictures that viewers were not sent, since they would have come too late.
  package private(set) var leftOut = 0
  /// By reason.
  package private(set) var drops: [String: Int] = [:]

  internal mutating func add(_ session: any WebRTCSession) {
    let peer = session.peer
    packetsIn += peer.packetsReceived
    packetsOut += peer.packetsSent
    bytesIn += peer.bytesReceived
    bytesOut += peer.bytesSent
    retransmissions += peer.media.outgoing.reduce(0) { $0 + Int(clamping: $1.retransmitted) }
    padding += peer.paddingSent
    leftOut += (session as? any WebRTCMediaSession)?.leftOut ?? 0
    drops.merge(peer.drops, uniquingKeysWith: +)
  }
}

extension PeerSession {
  /// What came in and was not taken, by reason; only what happened.
  internal var drops: [String: Int] {
    let (own, ice, media) = (transport.drops, transport.iceDrops, media.incoming.drops)
    let all = [
      "unknown": own.unknown, "dtls_unvalidated": own.unvalidated, "srtp_early": own.early, "srtp_invalid": own.srtp,
      "stun_malformed": ice.malformed, "stun_no_integrity": ice.missingIntegrity, "stun_foreign_username": ice.foreignUsername,
      "stun_wrong_password": ice.wrongPassword, "stun_replayed": ice.replayed,
      "stun_unexpected": ice.unexpected + ice.unknownTransaction, "stun_limit": ice.limit, "rtp_malformed": media.malformed,
      "rtp_unknown": media.unknown, "rtp_unused": media.unused, "rtp_too_many_sources": media.tooManySources,
      "rtcp_malformed": self.media.malformedControl,
    ]
    return all.filter { $0.value > 0 }
  }
}

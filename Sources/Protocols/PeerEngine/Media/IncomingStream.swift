package import MartletCodecs
internal import MartletPrimitives
package import MartletRTP
package import MartletSDP

/// One encoding of one section that arrives: a source with its retransmissions, its losses and its clock.
package struct IncomingStream: Sendable {
  package let section: Int
  /// Of simulcast; `nil` for the only encoding of a section.
  package let rid: String?
  package let ssrc: UInt32
  /// What comes; it may change from packet to packet among what was negotiated.
  package internal(set) var codec: RTPCodec
  package internal(set) var media: Codec?
  package internal(set) var statistics: ReceptionStatistics
  /// The last sender report: how the timestamps relate to the peer's wall clock.
  package internal(set) var clock: MediaClock?
  var rtx: UInt32?
  var nacks: NACKGenerator?
  /// Of a section with FEC.
  var erasures: ErasureDecoder?
  var keyFrames = KeyFrameRequester()

  init(section: Int, rid: String?, ssrc: UInt32, codec: RTPCodec, rtx: UInt32? = nil) {
    self.section = section
    self.rid = rid
    self.ssrc = ssrc
    self.codec = codec
    self.rtx = rtx
    media = codec.media
    statistics = ReceptionStatistics(ssrc: ssrc, clockRate: codec.clockRate)
    nacks = codec.feedback.contains(.nack) ? NACKGenerator() : nil
  }

  /// Lost packets that FEC brought back.
  package var recoveredByFEC: Int { erasures?.recoveredCount ?? 0 }

  package var isVideo: Bool { media?.kind == .video }
  /// Packets that were lost and came after all, and those given up.
  package var recovered: UInt64 { nacks?.recovered ?? 0 }
  package var abandoned: UInt64 { nacks?.abandoned ?? 0 }
  /// Key frames that were asked for.
  package var keyFrameRequests: UInt64 { keyFrames.sent }

  var deadline: Instant? { .earliest(nacks?.deadline, keyFrames.deadline) }
}

package import MartletRTP
package import MartletSDP

/// What was negotiated for the media of one `m=` section that the peer sends.
package struct IncomingSection: Sendable {
  /// A source that the description names (RFC 5576), and that of its retransmissions.
  package struct Announced: Equatable, Sendable {
    package var ssrc: UInt32
    package var rtx: UInt32?

    package init(ssrc: UInt32, rtx: UInt32? = nil) {
      self.ssrc = ssrc
      self.rtx = rtx
    }
  }

  package let mid: String
  package let kind: MediaDescription.Kind
  /// All that may come, auxiliary ones (RTX, RED, FEC) among them; the first primary one is what is expected.
  package let codecs: [RTPCodec]
  package let extensions: HeaderExtensions
  /// Simulcast layers in the order of the peer's description; empty without simulcast.
  package let rids: [String]
  package let announced: [Announced]

  package init(
    mid: String, kind: MediaDescription.Kind, codecs: [RTPCodec], extensions: HeaderExtensions, rids: [String] = [],
    announced: [Announced] = []
  ) {
    self.mid = mid
    self.kind = kind
    self.codecs = codecs
    self.extensions = extensions
    self.rids = rids
    self.announced = announced
  }

  func codec(_ payloadType: UInt8) -> RTPCodec? { codecs.first { $0.payloadType == payloadType } }
}

package import MartletRTP
package import MartletSDP

/// What two descriptions agree on, as `PeerMedia` wants it.
package struct NegotiatedMedia: Sendable {
  /// One for each `m=` section, in their order and never fewer than before, so that an index stays what it is. Sections in which
  /// nothing is received have no codecs.
  package internal(set) var incoming: [IncomingSection] = []
  /// The sections in which something is sent.
  package internal(set) var outgoing: [OutgoingSection] = []
}

/// What one section may carry to the peer.
package struct OutgoingSection: Sendable {
  package let transceiver: Transceiver.ID
  package let mid: String
  package let kind: TrackKind
  /// With the peer's payload types, what the answer prefers first; auxiliary ones (RTX, RED, events) among them.
  package let codecs: [RTPCodec]
  package let extensions: HeaderExtensions
  /// One, or the layers that the peer takes; with the first codec.
  package let encodings: [Encoding]

  package struct Encoding: Sendable {
    /// `nil` for an only encoding; otherwise it has to stand in the header extension of each packet.
    package let rid: String?
    package let parameters: OutgoingTrack.Parameters
  }

  /// RFC 4588 §8.6: the payload type of a codec's retransmissions.
  package func rtxPayloadType(for codec: RTPCodec) -> UInt8? {
    codecs.first { $0.associatedPayloadType == codec.payloadType }?.payloadType
  }
}

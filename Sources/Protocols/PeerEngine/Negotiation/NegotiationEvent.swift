package import MartletCrypto
package import MartletICE

/// What follows from a call, in the order in which it is to be done.
package enum NegotiationEvent: Sendable {
  case signalingStateChanged(SignalingState)
  /// `negotiationneeded`: make an offer when nothing else is under way.
  case negotiationNeeded
  /// The transport begins anew with these credentials of ours; those of the peer follow with `connect`.
  case restartICE(ICECredentials)
  case connect(RemoteTransport)
  case remoteCandidate(ICECandidate)
  case endOfRemoteCandidates
  /// What to receive and send from now on.
  case media(NegotiatedMedia)
  case dataChannels(DataChannelParameters)
  /// The peer sends, or sends again: the `track` event.
  case track(Transceiver.ID)
  /// The peer's track is in other streams now.
  case streamsChanged(Transceiver.ID, added: [String], removed: [String])
  /// The peer stopped sending: its track is muted and leaves these streams.
  case trackRemoved(Transceiver.ID, streams: [String])
  /// The section of a transceiver, or that of the data channels (`nil`), is rejected by either side.
  case rejected(mid: String, Transceiver.ID?)
}

/// What a description of the peer says about the other end of the transport.
package struct RemoteTransport: Equatable, Sendable {
  package let credentials: ICECredentials
  package let isLite: Bool
  package let fingerprints: [CertificateFingerprint]
  /// Of this end in DTLS.
  package let role: DTLSEngine.Role
  /// Of this end in ICE: the offerer controls (RFC 8445 §6.1.1).
  package let iceRole: ICERole
}

package struct DataChannelParameters: Equatable, Sendable {
  package let mid: String
  package let localPort: UInt16
  package let remotePort: UInt16
  /// The largest message that the peer takes, in bytes; `nil` for any.
  package let maxMessageSize: UInt64?
}

/// What of ours the descriptions tell about the transport.
package struct LocalTransport: Equatable, Sendable {
  package var credentials: ICECredentials
  package var fingerprints: [CertificateFingerprint]
  package var isLite: Bool

  package init(credentials: ICECredentials, fingerprints: [CertificateFingerprint], isLite: Bool = false) {
    self.credentials = credentials
    self.fingerprints = fingerprints
    self.isLite = isLite
  }
}

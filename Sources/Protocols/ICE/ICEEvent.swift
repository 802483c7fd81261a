package import MartletPrimitives

/// RTCIceTransportState of W3C WebRTC §5.6.4, as far as one transport goes.
package enum ICEState: String, Sendable {
  /// The peer's credentials are not known.
  case new
  case checking
  /// A pair is in use.
  case connected
  /// A pair is in use and nothing better can come.
  case completed
  /// A pair is in use, but nothing has come over it for a while.
  case disconnected
  /// No pair works, or consent is gone. Only a restart helps.
  case failed
  case closed
}

/// What data is sent over. Small and without references, to be read for every packet.
package struct ICESelectedPair: Equatable, Sendable {
  package let base: ICEBase
  package let remote: SocketAddress
  /// Of `ICEPairReport`.
  package let id: UInt32
  package let localType: ICECandidateType
  package let remoteType: ICECandidateType
}

package enum ICEEvent: Equatable, Sendable {
  case stateChanged(ICEState)
  /// Data goes this way from now on.
  case selected(ICESelectedPair)
  /// Data must not be sent any more (RFC 7675 §5.1).
  case consentLost
  /// A TCP connection to this address is needed: answer with `connected` or `unreachable`.
  case needsConnection(ICEBase, to: SocketAddress)
  /// A candidate with a host name: resolve it, and give `resolved(to:)` back by `addRemote`.
  case needsResolution(ICECandidate)
  /// The peer and we had the same role; it is this one now.
  case roleChanged(ICERole)
}

/// A message to send from `base`.
package struct ICETransmit: Equatable, Sendable {
  package let base: ICEBase
  package let to: SocketAddress
  package let bytes: [UInt8]
}

/// One pair, for a diagnosis page and for webrtc-stats.
package struct ICEPairReport: Equatable, Sendable {
  package let id: UInt32
  package let local: ICECandidate
  package let remote: ICECandidate
  package let priority: UInt64
  package let state: ICEPairState
  package let isNominated: Bool
  package let isSelected: Bool
  package let failure: ICEPairFailure?
  package let counters: ICEPairCounters
}

/// What happened, in short: kept for a person who asks why it does not work.
package struct ICETraceEntry: Equatable, Sendable {
  package enum Fact: Equatable, Sendable {
    case state(ICEState)
    case remoteCandidate(ICECandidateType)
    case check(pair: UInt32)
    case succeeded(pair: UInt32)
    case failed(pair: UInt32, ICEPairFailure)
    case nominated(pair: UInt32)
    case selected(pair: UInt32)
    case role(ICERole)
    case restarted
  }

  package let time: Instant
  package let fact: Fact
}

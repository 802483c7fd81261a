package import MartletSDP

/// RTCSignalingState (W3C WebRTC §4.3.1): which side's offer waits for an answer.
///
///     stable ── local offer ──▶ haveLocalOffer ── remote pranswer ──▶ haveRemotePranswer ── remote answer ──▶ stable
///     stable ── remote offer ─▶ haveRemoteOffer ── local pranswer ──▶ haveLocalPranswer ── local answer ────▶ stable
///
/// A rollback leads from either offer back to stable.
package enum SignalingState: String, Sendable {
  case stable
  case haveLocalOffer = "have-local-offer"
  case haveRemoteOffer = "have-remote-offer"
  case haveLocalPranswer = "have-local-pranswer"
  case haveRemotePranswer = "have-remote-pranswer"
  case closed

  package enum Side: Sendable { case local, remote }

  /// The state after a description is set; `nil` where it must not be (RFC 8829 §4.1.8, W3C WebRTC §4.4.1.5).
  package func next(_ side: Side, _ type: SDPType) -> SignalingState? {
    switch (self, side, type) {
    case (.stable, .local, .offer), (.haveLocalOffer, .local, .offer): .haveLocalOffer
    case (.stable, .remote, .offer), (.haveRemoteOffer, .remote, .offer): .haveRemoteOffer
    // The implicit rollback: whoever sets it has chosen to yield.
    case (.haveLocalOffer, .remote, .offer): .haveRemoteOffer
    case (.haveRemoteOffer, .local, .answer), (.haveLocalPranswer, .local, .answer): .stable
    case (.haveLocalOffer, .remote, .answer), (.haveRemotePranswer, .remote, .answer): .stable
    case (.haveRemoteOffer, .local, .pranswer), (.haveLocalPranswer, .local, .pranswer): .haveLocalPranswer
    case (.haveLocalOffer, .remote, .pranswer), (.haveRemotePranswer, .remote, .pranswer): .haveRemotePranswer
    case (.haveLocalOffer, .local, .rollback), (.haveRemoteOffer, .remote, .rollback): .stable
    default: nil
    }
  }
}

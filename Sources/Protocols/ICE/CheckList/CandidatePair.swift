package import MartletPrimitives

/// RFC 8445 §6.1.2.6.
package enum ICEPairState: String, Sendable {
  case frozen, waiting
  case inProgress = "in-progress"
  case succeeded, failed
}

/// Why a pair failed, or what stood in its way last.
package enum ICEPairFailure: Equatable, Sendable {
  /// No answer to any check.
  case timeout
  /// The peer answered with an error: 401 is a wrong password.
  case refused(code: UInt16)
  /// The answer came from, or to, another address (RFC 8445 §7.2.5.2.1).
  case notSymmetric
  /// The driver said so: no route, a refused TCP connection, an ICMP error.
  case unreachable
  /// It worked, and then no consent came (RFC 7675 §5.1).
  case consentExpired
}

/// What a pair has sent and received, as webrtc-stats counts it.
package struct ICEPairCounters: Equatable, Sendable {
  /// Checks, without those sent again.
  package var requestsSent: UInt32 = 0
  package var retransmissionsSent: UInt32 = 0
  package var responsesReceived: UInt32 = 0
  package var requestsReceived: UInt32 = 0
  package var responsesSent: UInt32 = 0
  package var consentRequestsSent: UInt32 = 0
  /// Of the last answered check that was sent once; zero before.
  package var roundTrip = TimeSpan.zero
  package var totalRoundTrip = TimeSpan.zero
  package var roundTripMeasurements: UInt32 = 0

  mutating func measured(_ span: TimeSpan) {
    roundTrip = span
    totalRoundTrip = totalRoundTrip + span
    roundTripMeasurements &+= 1
  }
}

/// A local transport and a remote address. The valid pair that a check yields (RFC 8445 §7.2.5.3.2) is not kept apart: it sends
/// from the same base to the same address, and only its local candidate may be another.
struct CandidatePair {
  /// What a TCP client pair waits for before it can be checked.
  enum Connection { case none, needed, requested }

  let id: UInt32
  let base: ICEBase
  let remoteAddress: SocketAddress
  /// Places in the lists of the check list, which only grow.
  var local: Int
  var remote: Int
  /// Equal for pairs whose checks succeed or fail together.
  var foundation: Int
  var priority: UInt64
  var state = ICEPairState.frozen
  var connection = Connection.none
  /// Controlling: the check with USE-CANDIDATE is due or under way. Controlled: the peer has sent one.
  var isNominated = false
  /// Our side as the peer sees it.
  var mapped: SocketAddress?
  var failure: ICEPairFailure?
  var counters = ICEPairCounters()
  /// The last authentic check from the peer.
  var requestReceivedAt: Instant?
  /// The last of those with USE-CANDIDATE.
  var nominatedAt: Instant?
  /// The last authentic answer to a check of ours.
  var answeredAt: Instant?

  /// Something has come over it: only what we send may still get lost.
  var isHeard: Bool { requestReceivedAt != nil || answeredAt != nil }

  /// RFC 8445 §6.1.2.3; G is the controlling agent's priority.
  static func priority(local: UInt32, remote: UInt32, _ role: ICERole) -> UInt64 {
    let (g, d) = role == .controlling ? (UInt64(local), UInt64(remote)) : (UInt64(remote), UInt64(local))
    return min(g, d) << 32 &+ 2 &* max(g, d) &+ (g > d ? 1 : 0)
  }
}

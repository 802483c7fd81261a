internal import MartletPrimitives
internal import MartletSTUN

/// The pair in use, with all that keeps it alive. It stands apart from the check list, so that it goes on working by its own
/// credentials while a restart looks for its successor (RFC 8445 §9).
struct Selection {
  let pair: ICESelectedPair
  let generation: UInt32
  let local: ICECredentials
  let remote: ICECredentials?
  var consent: Consent
  /// The last of anything that came over the pair.
  var heardAt: Instant
}

/// Permission to send, which the peer renews by answering (RFC 7675 §5.1), or a lite agent's peer by asking.
struct Consent {
  struct Request {
    let id: TransactionID
    let sentAt: Instant
  }

  var renewedAt: Instant
  /// `nil` for a lite agent.
  var nextCheck: Instant?
  /// Any of those sent within the lifetime may still be answered.
  private(set) var requests: [Request] = []

  init(renewedAt: Instant, nextCheck: Instant?) {
    self.renewedAt = renewedAt
    self.nextCheck = nextCheck
  }

  mutating func sent(_ id: TransactionID, now: Instant) {
    if requests.count >= Self.requestLimit { requests.removeFirst() }
    requests.append(Request(id: id, sentAt: now))
  }

  func request(_ id: TransactionID) -> Request? { requests.first { $0.id == id } }

  /// An answer makes all earlier questions moot.
  mutating func renew(by request: Request, nextCheck: Instant, now: Instant) {
    renewedAt = now
    self.nextCheck = nextCheck
    requests.removeAll { $0.sentAt <= request.sentAt }
  }

  /// As many as fit into 30 s of lifetime, a second apart.
  private static let requestLimit = 30
}

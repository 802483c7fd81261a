package import MartletSTUN

/// Why the agent did not take a message, a candidate or a command. A message that is not taken is dropped without an answer,
/// and counted in `ICEDrops`.
package enum ICEError: Error, Equatable, Sendable {
  case malformed(STUNError)
  /// A request without USERNAME or MESSAGE-INTEGRITY, or a response without the latter.
  case missingIntegrity
  /// USERNAME names another agent, or a generation that is over.
  case foreignUsername
  /// MESSAGE-INTEGRITY was made with another password.
  case wrongPassword
  /// A request that came before from another address.
  case replayed
  /// A response to no check in flight.
  case unknownTransaction
  /// A message that is no Binding.
  case unexpected(STUNClass, STUNMethod)
  /// A required attribute that is not understood.
  case unknownAttribute(UInt16)
  /// Text that is no `candidate` attribute; `at` is the number of its field, from 0.
  case malformedCandidate(_ what: String, at: Int)
  case limit(_ what: String, maximum: Int)
  /// The peer's credentials changed: that takes a restart on both sides (RFC 8445 §9).
  case restartNeeded
  case closed
}

extension ICEError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .malformed(let error): "\(error)"
    case .missingIntegrity: "a check without USERNAME or MESSAGE-INTEGRITY"
    case .foreignUsername: "a check for another user name fragment"
    case .wrongPassword: "MESSAGE-INTEGRITY that was made with another password"
    case .replayed: "a check that came before from another address"
    case .unknownTransaction: "a response to no check in flight"
    case .unexpected(let kind, let method): "a \(method) \(kind) where a Binding is expected"
    case .unknownAttribute(let type): "attribute 0x\(String(type, radix: 16)) is required and unknown"
    case .malformedCandidate(let what, let field): "\(what) in field \(field) of a candidate"
    case .limit(let what, let maximum): "\(what) exceed the limit of \(maximum)"
    case .restartNeeded: "the peer's credentials changed without an ICE restart"
    case .closed: "the ICE agent is closed"
    }
  }
}

/// Messages that were dropped, by reason: an attack, a wrong password and a stale peer look different here.
package struct ICEDrops: Equatable, Sendable {
  package var malformed = 0
  package var missingIntegrity = 0
  package var foreignUsername = 0
  package var wrongPassword = 0
  package var replayed = 0
  package var unknownTransaction = 0
  package var unexpected = 0
  /// Authentic checks that were answered but not learned from, there being too many candidates or pairs.
  package var limit = 0
  /// Messages of ours that the driver did not fetch in time.
  package var transmits = 0

  package init() {}

  package var total: Int {
    malformed + missingIntegrity + foreignUsername + wrongPassword + replayed + unknownTransaction + unexpected + limit + transmits
  }

  mutating func count(_ error: ICEError) {
    switch error {
    case .malformed: malformed += 1
    case .missingIntegrity: missingIntegrity += 1
    case .foreignUsername: foreignUsername += 1
    case .wrongPassword: wrongPassword += 1
    case .replayed: replayed += 1
    case .unknownTransaction: unknownTransaction += 1
    case .unexpected, .unknownAttribute: unexpected += 1
    case .malformedCandidate, .limit, .restartNeeded, .closed: break
    }
  }
}

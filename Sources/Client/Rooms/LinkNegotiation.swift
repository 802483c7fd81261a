/// Who makes an offer when, between two participants: perfect negotiation (W3C WebRTC §10.7), and the asking of two that know each other
/// as `joinRoom`s, whose offers never meet (docs/rooms.md). Without descriptions: those are the driver's.
internal struct LinkNegotiation {
  internal enum Step: Equatable, Sendable {
    case nothing
    case offer
    /// Has the other one make an offer.
    case ask
  }

  internal enum Answer: Equatable, Sendable {
    /// An offer of ours is under way, and goes before it.
    case ignore
    /// - Parameter rollsBack: ours is taken back first.
    case take(rollsBack: Bool)
  }

  /// Who came later is the impolite one, and makes the first offer.
  internal let isLater: Bool
  /// Whether the other one, who came later, makes an offer where it is asked to.
  internal private(set) var isAskable = false
  /// Our offer waits for its answer.
  internal private(set) var isOffering = false
  /// The last offer of the other one was not taken: its candidates belong to nothing.
  internal private(set) var ignoresOffer = false
  /// Whether we were asked for an offer that is still to be made.
  private var isAsked = false

  internal init(isLater: Bool) { self.isLater = isLater }

  /// The other one has opened the channel of `joinRoom`s.
  internal mutating func knowsAsking() { isAskable = !isLater }

  /// - Parameter isConnected: where the path is lost there is no asking.
  internal func needed(isConnected: Bool) -> Step {
    // When the exchange is over it is looked at anew.
    if isOffering { return .nothing }
    return isAskable && isConnected ? .ask : .offer
  }

  /// The other one did not make the offer that it was asked for.
  internal mutating func askedInVain() -> Step {
    isAskable = false
    return isOffering ? .nothing : .offer
  }

  internal mutating func asked() -> Step {
    guard isLater else { return .nothing }
    isAsked = isOffering
    return isOffering ? .nothing : .offer
  }

  internal mutating func didOffer() { (isOffering, isAsked) = (true, false) }

  internal mutating func receiveOffer() -> Answer {
    ignoresOffer = isLater && isOffering
    guard !ignoresOffer else { return .ignore }
    defer { isOffering = false }
    return .take(rollsBack: isOffering)
  }

  /// - Returns: whether it is one to ours, and what is to be done when it is set.
  internal mutating func receiveAnswer() -> (isTaken: Bool, next: Step) {
    guard isOffering else { return (false, .nothing) }
    isOffering = false
    return (true, isAsked ? .offer : .nothing)
  }
}

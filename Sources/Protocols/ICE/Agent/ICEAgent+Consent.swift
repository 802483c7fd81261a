internal import MartletPrimitives
internal import MartletSTUN

// Consent freshness (RFC 7675), which keeps NAT bindings open too (RFC 8445 §11).
extension ICEAgent {
  func deadline(of selection: Selection) -> Instant {
    var earliest = consentEnd(selection)
    if let next = selection.consent.nextCheck { earliest = min(earliest, next) }
    if state != .disconnected { earliest = min(earliest, selection.heardAt + configuration.disconnectedAfter) }
    return earliest
  }

  /// A pair between two lite agents has no consent to lose.
  func consentEnd(_ selection: Selection) -> Instant {
    configuration.isLite && remoteIsLite ? .distantFuture : selection.consent.renewedAt + configuration.consentLifetime
  }

  /// RFC 7675 §5.1: so that the checks of many agents do not come to beat together.
  mutating func consentDelay() -> TimeSpan {
    let interval = configuration.consentInterval.nanoseconds
    return TimeSpan(nanoseconds: Int64.random(in: interval / 10 * 8...max(interval / 10 * 8, interval / 10 * 12), using: &random))
  }

  mutating func keepConsent(now: Instant) {
    guard let current = selection else { return }
    if consentEnd(current) <= now { return loseSelection(now: now) }
    guard let due = current.consent.nextCheck, due <= now, let remote = current.remote else { return }
    let id = TransactionID(random: &random)
    let local = list.pair(current.pair.id).map { list.locals[list.pairs[$0].local].candidate }
    let fallback = list.locals.first { $0.base == current.pair.base }?.candidate
    guard let local = local ?? fallback else { return }
    let message = checkMessage(id, local: local, current.local, remote, false)
    transmit(message.encoded(key: .shortTerm(password: remote.password)), current.pair.base, to: current.pair.remote)
    selection?.consent.sent(id, now: now)
    selection?.consent.nextCheck = now + configuration.consentRetry
    if let index = list.pair(current.pair.id) { list.pairs[index].counters.consentRequestsSent &+= 1 }
  }

  mutating func renewConsent(
    _ selection: Selection, _ request: Consent.Request, _ received: ReceivedSTUNMessage, _ bytes: RawSpan, now: Instant
  ) throws(ICEError) {
    guard received.hasIntegrity else { throw .missingIntegrity }
    guard let remote = selection.remote, received.isAuthentic(bytes, .shortTerm(password: remote.password)) else { throw .wrongPassword }
    // An authentic error, such as 487 in the middle of a restart, shows that the peer is there, not that it agrees.
    self.selection?.heardAt = now
    guard received.message.kind == .success else { return }
    let delay = consentDelay()
    self.selection?.consent.renew(by: request, nextCheck: now + delay, now: now)
    guard let index = list.pair(selection.pair.id) else { return }
    list.pairs[index].counters.responsesReceived &+= 1
    list.pairs[index].counters.measured(now - request.sentAt)
  }

  /// RFC 7675 §5.1: nothing may be sent any more. A restart under way goes on, and so does the search for another pair.
  mutating func loseSelection(now: Instant) {
    guard let lost = selection else { return }
    selection = nil
    if let index = list.pair(lost.pair.id), list.pairs[index].state != .failed { failPair(index, .consentExpired, now: now) }
    raise(.consentLost)
    if lost.generation == generation { seekSuccessor(of: lost, now: now) }
  }
}

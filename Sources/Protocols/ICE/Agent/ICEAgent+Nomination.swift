internal import MartletPrimitives
internal import MartletSTUN

// Regular nomination (RFC 8445 §8.1.1): the controlling agent checks, chooses, and says so in one more check.
extension ICEAgent {
  /// When the best pair so far is good enough, if that is the only thing that is waited for.
  var nominationDeadline: Instant? {
    guard canNominate, let firstSuccessAt, bestValid != nil else { return nil }
    return firstSuccessAt + configuration.nominationDelay
  }

  private var canNominate: Bool {
    role == .controlling && !configuration.isLite && nominating == nil && !hasFailed
      && (selection?.generation != generation || succession != nil)
  }

  private var bestValid: Int? { succession == nil ? list.best { $0.state == .succeeded } : successor }

  mutating func nominate(now: Instant) {
    guard canNominate, let best = bestValid else {
      if configuration.isLite, remoteIsLite { selectAmongLite(now: now) }
      return
    }
    let pair = list.pairs[best]
    let mayImprove = succession == nil && list.pairs.contains { $0.priority > pair.priority && $0.state != .failed }
    guard !mayImprove || nominationDeadline.map({ $0 <= now }) ?? true else { return }
    nominating = pair.id
    list.trigger(best, ahead: true)
    // Pacing spares NATs new bindings (RFC 8445 §14.2); this is one message over a path that is there.
    nextCheckAt = min(nextCheckAt, now)
  }

  /// The controlling side has named this pair, and it works. Peers that nominate every pair they check (RFC 5245's aggressive
  /// way, and browsers) mean the best of them; one that falls back to a lesser pair does not name the better one any more.
  mutating func adoptNomination(_ index: Int, now: Instant) {
    let pair = list.pairs[index]
    guard let selection, selection.generation == generation, selection.pair.id != pair.id else { return select(index, now: now) }
    let current = list.pair(selection.pair.id).map { list.pairs[$0] }
    let isMeant = current?.nominatedAt.map { now - $0 < Self.deadAfter } ?? false
    if let current, isMeant, current.priority > pair.priority { return }
    select(index, now: now)
  }

  mutating func select(_ index: Int, now: Instant) {
    let pair = list.pairs[index]
    list.pairs[index].isNominated = true
    guard selection?.pair.id != pair.id || selection?.generation != generation else { return }
    // A pair that was named before is not meant any more.
    for other in list.pairs.indices where other != index { list.pairs[other].isNominated = false }
    let selected = ICESelectedPair(
      base: pair.base, remote: pair.remoteAddress, id: pair.id, localType: list.locals[pair.local].candidate.type,
      remoteType: list.remotes[pair.remote].type)
    let firstCheck = configuration.isLite ? nil : now + consentDelay()
    selection = Selection(
      pair: selected, generation: generation, local: localCredentials, remote: remoteCredentials,
      consent: Consent(renewedAt: now, nextCheck: firstCheck), heardAt: now)
    // RFC 8445 §8.1.2: the others are not needed. Checks under way are not sent again, but may still be answered.
    succession = nil
    checks.removeAll { $0.pair == pair.id }
    for place in checks.indices { checks[place].transaction.cancelRetransmissions(now: now) }
    list.removeUntried()
    note(.selected(pair: pair.id), now: now)
    raise(.selected(selected))
  }

  /// RFC 8445 §8.2.1: neither side checks, so the best pair is simply used. It is not known to work, or to be wanted.
  private mutating func selectAmongLite(now: Instant) {
    guard configuration.trustsLitePeer, selection?.generation != generation, !hasFailed else { return }
    for remote in list.remotes.indices { list.formPairs(remote: remote, role) }
    guard let best = list.best(where: { $0.base.transport == .udp }) else { return }
    list.pairs[best].state = .succeeded
    select(best, now: now)
  }

  /// As long as browsers wait for the answers to their checks before they take another pair.
  private static let deadAfter = TimeSpan.seconds(3)
}

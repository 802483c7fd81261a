internal import MartletPrimitives
internal import MartletSTUN

/// The pair in use is silent or gone, and another is looked for in the same generation.
struct Succession {
  /// When this began.
  let since: Instant
  /// The last of anything that came over the pair in use.
  let heardAt: Instant
  /// Once that pair is gone: how long a successor is waited for.
  var until: Instant
}

extension ICEAgent {
  /// A pair that has been silent for too long is not given up before its consent is, but others are asked meanwhile.
  mutating func watchSelection(now: Instant) {
    guard let current = selection, current.generation == generation else { return }
    if now - current.heardAt < configuration.disconnectedAfter {
      succession = nil
    } else if succession == nil {
      beginSuccession(current, now: now)
    }
  }

  mutating func seekSuccessor(of lost: Selection, now: Instant) {
    if succession == nil { beginSuccession(lost, now: now) }
    // Without a transport of ours nobody can reach us either.
    guard list.locals.contains(where: \.isSendable) else { return succession = Succession(since: now, heardAt: lost.heardAt, until: now) }
    let patience = hasSuccessor(now: now) ? now + configuration.successionPatience : now
    let until = max(consentEnd(lost), patience)
    succession?.until = until
  }

  /// What works besides is asked whether it still does, which also opens NATs for the other side, and what was not tried, or not to
  /// the end, is tried.
  private mutating func beginSuccession(_ current: Selection, now: Instant) {
    succession = Succession(since: now, heardAt: current.heardAt, until: consentEnd(current))
    guard !configuration.isLite else { return }
    list.formPairs(role)
    list.reconnect(current.pair.id)
    list.revive()
    let used = selection?.pair.id
    for index in list.pairs.indices where list.pairs[index].canSucceed(used) { list.trigger(index) }
    // A NAT has seen these addresses before: there is nothing to spare it (RFC 8445 §14.2).
    nextCheckAt = min(nextCheckAt, now)
  }

  /// The side that does not choose can only go by what the peer still checks.
  func hasSuccessor(now: Instant) -> Bool {
    let (used, chooses, lifetime) = (selection?.pair.id, role == .controlling, configuration.consentLifetime)
    return list.pairs.contains { pair in
      pair.canSucceed(used) && (chooses || pair.requestReceivedAt.map { now - $0 < lifetime } ?? false)
    }
  }

  /// The best pair that has answered since the search began, or the best there is.
  var successor: Int? {
    guard let succession else { return nil }
    let used = selection?.pair.id
    let answered = list.best { $0.canSucceed(used) && $0.answeredAt.map { $0 >= succession.since } ?? false }
    return answered ?? list.best { $0.canSucceed(used) }
  }

  /// A nomination that stays without an answer gives way to a pair that has been answered since.
  mutating func abandonNomination(now: Instant) {
    guard succession != nil, let named = nominating,
      let place = checks.firstIndex(where: { $0.isNomination && $0.pair == named && !$0.isCancelled }),
      let answeredAt = successor.flatMap({ list.pairs[$0].answeredAt }), answeredAt > checks[place].sentAt,
      now - checks[place].sentAt >= configuration.schedule.initial
    else { return }
    checks[place].isCancelled = true
    checks[place].transaction.cancelRetransmissions(now: now)
    nominating = nil
  }
}

extension CandidatePair {
  /// - Parameter used: the pair in use.
  fileprivate func canSucceed(_ used: UInt32?) -> Bool { state == .succeeded && id != used }
}

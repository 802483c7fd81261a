package import MartletPrimitives
internal import MartletSTUN

// Sending checks: pacing, retransmission and the order of pairs (RFC 8445 §6.1.4, §7.2.4, §14).
extension ICEAgent {
  /// When to call `timeout`; `nil` when nothing will happen by itself.
  package var deadline: Instant? {
    guard state != .closed, !hasFailed else { return nil }
    var earliest = Instant.distantFuture
    for check in checks { earliest = min(earliest, check.transaction.deadline ?? earliest) }
    if canCheck, list.next != nil { earliest = min(earliest, nextCheckAt) }
    if let nomination = nominationDeadline { earliest = min(earliest, nomination) }
    if let selection { earliest = min(earliest, deadline(of: selection)) }
    if let startedAt, selection == nil { earliest = min(earliest, giveUpAt(startedAt)) }
    if let succession, selection == nil, state == .connected {
      earliest = min(earliest, succession.heardAt + configuration.disconnectedAfter)
    }
    return earliest == .distantFuture ? nil : earliest
  }

  package mutating func timeout(now: Instant) {
    guard state != .closed else { return }
    // Before it is sent again.
    abandonNomination(now: now)
    retransmit(now: now)
    proceed(now: now)
  }

  /// What follows from the present state and time. Every verb ends here.
  mutating func proceed(now: Instant) {
    guard state != .closed else { return }
    watchSelection(now: now)
    nominate(now: now)
    sendDueChecks(now: now)
    keepConsent(now: now)
    updateState(now: now)
  }

  private var canCheck: Bool { !configuration.isLite && remoteCredentials != nil && !hasFailed }

  private mutating func sendDueChecks(now: Instant) {
    guard canCheck, nextCheckAt <= now, let index = list.next else { return }
    list.take(index)
    nextCheckAt = now + configuration.pacing
    if list.pairs[index].connection == .needed {
      list.pairs[index].connection = .requested
      list.pairs[index].state = .inProgress
      raise(.needsConnection(list.pairs[index].base, to: list.pairs[index].remoteAddress))
    } else if list.pairs[index].connection == .none {
      sendCheck(index, now: now)
    }
  }

  private mutating func sendCheck(_ index: Int, now: Instant) {
    let pair = list.pairs[index]
    guard let remoteCredentials else { return }
    let isNomination = role == .controlling && nominating == pair.id
    let id = TransactionID(random: &random)
    let message = checkMessage(id, local: list.locals[pair.local].candidate, localCredentials, remoteCredentials, isNomination)
    let bytes = message.encoded(key: .shortTerm(password: remoteCredentials.password))
    let schedule = schedule(of: pair, isNomination: isNomination)
    checks.append(
      OutstandingCheck(
        id: id, pair: pair.id, isNomination: isNomination, role: role, bytes: bytes, sentAt: now,
        transaction: ClientTransaction(schedule, now: now)))
    if pair.state != .succeeded { list.pairs[index].state = .inProgress }
    list.pairs[index].counters.requestsSent &+= 1
    note(isNomination ? .nominated(pair: pair.id) : .check(pair: pair.id), now: now)
    transmit(bytes, pair.base, to: pair.remoteAddress)
  }

  private func schedule(of pair: CandidatePair, isNomination: Bool) -> ClientTransaction.Schedule {
    guard pair.base.transport == .udp else { return .stream }
    if isNomination { return configuration.nominationSchedule }
    return pair.isHeard || remoteIsLite ? configuration.heardSchedule : configuration.schedule
  }

  /// RFC 8445 §7.2.2: PRIORITY is that of the peer-reflexive candidate the peer may learn by this check.
  func checkMessage(
    _ id: TransactionID, local: ICECandidate, _ ours: ICECredentials, _ theirs: ICECredentials, _ isNomination: Bool
  ) -> STUNMessage {
    let preference = UInt16(truncatingIfNeeded: local.priority >> 8)
    let priority = ICECandidateType.peerReflexive.preference(local.transport) << 24 | UInt32(preference) << 8 | local.priority & 0xFF
    var attributes: [STUNAttribute] = [
      .username("\(theirs.fragment):\(ours.fragment)"), .priority(priority),
      role == .controlling ? .iceControlling(tieBreaker: tieBreaker) : .iceControlled(tieBreaker: tieBreaker),
    ]
    if isNomination { attributes.append(.useCandidate) }
    return STUNMessage(.request, .binding, id, attributes)
  }

  private mutating func retransmit(now: Instant) {
    var lost: [OutstandingCheck] = []
    for place in checks.indices {
      switch checks[place].transaction.timeout(now: now) {
      case .none: break
      case .transmit:
        guard let index = list.pair(checks[place].pair) else { break }
        list.pairs[index].counters.retransmissionsSent &+= 1
        transmit(checks[place].bytes, list.pairs[index].base, to: list.pairs[index].remoteAddress)
      case .failed: lost.append(checks[place])
      }
    }
    guard !lost.isEmpty else { return }
    checks.removeAll { $0.transaction.deadline == nil }
    for check in lost where !check.isCancelled {
      guard let index = list.pair(check.pair) else { continue }
      // A pair that has worked is not undone by a check that was not needed.
      if list.pairs[index].state == .inProgress || check.isNomination { failPair(index, .timeout, now: now) }
    }
  }

  /// RFC 8445 §7.3.1.4: a check from the peer is the moment at which one to the peer gets through a NAT.
  mutating func triggerCheck(_ index: Int, now: Instant) {
    let pair = list.pairs[index]
    guard pair.connection == .none else { return }
    if pair.state == .inProgress {
      let own = checks.indices.filter { checks[$0].pair == pair.id && !checks[$0].isCancelled }
      // An answer to the one under way may still come, so it stays; but now it is known to be worth sending again.
      if let young = own.first(where: { now - checks[$0].sentAt < configuration.schedule.initial }) {
        if pair.base.transport == .udp { checks[young].transaction.follow(configuration.heardSchedule) }
        return
      }
      for place in own {
        checks[place].isCancelled = true
        checks[place].transaction.cancelRetransmissions(now: now)
      }
    }
    list.pairs[index].failure = nil
    list.trigger(index)
  }
}

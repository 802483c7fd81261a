internal import MartletPrimitives
internal import MartletSTUN

// Answers to our checks (RFC 8445 §7.2.5).
extension ICEAgent {
  mutating func receiveResponse(
    _ received: ReceivedSTUNMessage, _ bytes: RawSpan, from source: SocketAddress, on base: ICEBase, now: Instant
  ) throws(ICEError) {
    let response = received.message
    if let selection, let request = selection.consent.request(response.transaction) {
      return try renewConsent(selection, request, received, bytes, now: now)
    }
    guard let place = checks.firstIndex(where: { $0.id == response.transaction }) else { throw .unknownTransaction }
    let check = checks[place]
    guard let remoteCredentials, let index = list.pair(check.pair) else { throw .unknownTransaction }
    guard received.hasIntegrity else {
      // Nobody vouches for it, so it changes nothing; but it may say what is wrong, such as 401.
      if let error = response.errorCode { list.pairs[index].failure = .refused(code: UInt16(clamping: error.code)) }
      throw .missingIntegrity
    }
    guard received.isAuthentic(bytes, .shortTerm(password: remoteCredentials.password)) else { throw .wrongPassword }
    checks.remove(at: place)
    list.pairs[index].answeredAt = now
    list.pairs[index].counters.responsesReceived &+= 1
    // Karn: an answer to a request that was sent twice says nothing about time.
    if check.transaction.requests == 1 { list.pairs[index].counters.measured(now - check.sentAt) }
    guard source == list.pairs[index].remoteAddress, base == list.pairs[index].base else {
      return failPair(index, .notSymmetric, now: now)
    }
    if response.kind == .error { return receiveError(response, check, index, now: now) }
    guard response.unknownRequired.isEmpty, let mapped = response.mappedAddress else {
      return failPair(index, .refused(code: 400), now: now)
    }
    list.pairs[index].mapped = mapped
    nameLocalSide(index)
    succeed(index, now: now)
    if check.isNomination, nominating == check.pair {
      nominating = nil
      list.pairs[index].isNominated = true
      select(index, now: now)
    } else if role == .controlled, list.pairs[index].isNominated {
      adoptNomination(index, now: now)
    }
  }

  /// RFC 8445 §7.2.5.1.
  private mutating func receiveError(_ response: STUNMessage, _ check: OutstandingCheck, _ index: Int, now: Instant) {
    let code = response.errorCode?.code ?? STUNErrorCode.badRequest
    guard code == STUNErrorCode.roleConflict else { return failPair(index, .refused(code: UInt16(clamping: code)), now: now) }
    if check.role == role { changeRole(to: role == .controlling ? .controlled : .controlling, now: now) }
    list.trigger(index)
  }

  /// RFC 8445 §7.2.5.3.1: our side is the candidate that the peer sees, a new one if need be.
  private mutating func nameLocalSide(_ index: Int) {
    let pair = list.pairs[index]
    guard let mapped = pair.mapped, list.locals[pair.local].candidate.address != mapped else { return }
    if let known = list.local(on: pair.base, mappedTo: mapped) {
      list.pairs[index].local = known
      return
    }
    let own = list.locals[pair.local].candidate.priority
    let priority = ICECandidateType.peerReflexive.preference(pair.base.transport) << 24 | own & 0xFF_FFFF
    let foundation = random.text(8)
    if let added = list.appendPeerReflexive(mapped, on: pair.base, priority: priority, foundation: foundation) {
      list.pairs[index].local = added
    }
  }

  mutating func succeed(_ index: Int, now: Instant) {
    let pair = list.pairs[index]
    list.pairs[index].failure = nil
    guard pair.state != .succeeded else { return }
    list.pairs[index].state = .succeeded
    list.take(index)
    list.unfreeze(pair.foundation)
    firstSuccessAt = firstSuccessAt ?? now
    note(.succeeded(pair: pair.id), now: now)
  }
}

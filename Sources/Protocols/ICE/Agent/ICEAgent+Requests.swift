package import MartletPrimitives
internal import MartletSTUN

// What comes in (RFC 8445 §7.3).
extension ICEAgent {
  /// A STUN message that came on `base`. Only authentic checks are answered: an answer to anybody else would tell a scanner
  /// that there is an agent, and lend itself to reflection.
  package mutating func receive(_ bytes: RawSpan, from source: SocketAddress, on base: ICEBase, now: Instant) throws(ICEError) {
    guard state != .closed else { throw .closed }
    do throws(ICEError) {
      let received = try parse(bytes)
      switch (received.message.kind, received.message.method) {
      case (.request, .binding): try receiveRequest(received, bytes, from: source, on: base, now: now)
      case (.success, .binding), (.error, .binding): try receiveResponse(received, bytes, from: source, on: base, now: now)
      // A keep-alive of a peer without consent freshness (RFC 8445 §11).
      case (.indication, .binding): noteReceived(on: base, from: source, now: now)
      case (let kind, let method): throw .unexpected(kind, method)
      }
    } catch {
      drops.count(error)
      throw error
    }
    proceed(now: now)
  }

  /// Data came over the selected pair: for every packet. It shows that the path is alive, not that the peer wants ours.
  package mutating func noteReceived(on base: ICEBase, from source: SocketAddress, now: Instant) {
    guard let pair = selection?.pair, pair.remote == source, pair.base == base else { return }
    selection?.heardAt = now
    if state == .disconnected { updateState(now: now) }
  }

  private func parse(_ bytes: RawSpan) throws(ICEError) -> ReceivedSTUNMessage {
    let limits = STUNLimits(messageBytes: configuration.limits.messageBytes, attributes: configuration.limits.attributes)
    do throws(STUNError) {
      return try ReceivedSTUNMessage(parsing: bytes, limits: limits)
    } catch {
      throw .malformed(error)
    }
  }

  private mutating func receiveRequest(
    _ received: ReceivedSTUNMessage, _ bytes: RawSpan, from source: SocketAddress, on base: ICEBase, now: Instant
  ) throws(ICEError) {
    let request = received.message
    let credentials = try authenticate(received, bytes)
    guard replays.accept(request.transaction, from: source) else { throw .replayed }
    let reply = Reply(credentials: credentials, integrity: received.integrity ?? .sha1, base: base, to: source)
    let unknown = request.unknownRequired
    guard unknown.isEmpty else {
      let error = STUNErrorCode(STUNErrorCode.unknownAttribute)
      answer(request, .error, [.errorCode(error), .unknownAttributes(Array(unknown.prefix(8)))], reply)
      throw .unknownAttribute(unknown[0])
    }
    guard resolveRoleConflict(request, now: now) else {
      return answer(request, .error, [.errorCode(STUNErrorCode(STUNErrorCode.roleConflict))], reply)
    }
    // After a failure only a restart helps, and before one a check by the credentials of the last generation only answers.
    if credentials == localCredentials, !hasFailed { learn(from: request, source, base, now: now) }
    answer(request, .success, [.xorMappedAddress(source)], reply)
    hear(from: source, on: base, now: now)
  }

  private struct Reply {
    let credentials: ICECredentials
    let integrity: STUNIntegrity
    let base: ICEBase
    let to: SocketAddress
  }

  private mutating func answer(_ request: STUNMessage, _ kind: STUNClass, _ attributes: [STUNAttribute], _ reply: Reply) {
    let message = STUNMessage(kind, .binding, request.transaction, attributes)
    transmit(message.encoded(key: .shortTerm(password: reply.credentials.password), integrity: reply.integrity), reply.base, to: reply.to)
    if let index = list.pair(on: reply.base, to: reply.to) { list.pairs[index].counters.responsesSent &+= 1 }
  }

  /// RFC 8445 §7.3: USERNAME begins with our fragment, the key is our password. While a restart is under way, those of the
  /// pair in use count too.
  private func authenticate(_ received: ReceivedSTUNMessage, _ bytes: RawSpan) throws(ICEError) -> ICECredentials {
    guard received.hasIntegrity, let username = received.message.username else { throw .missingIntegrity }
    let fragment = username.utf8.prefix { $0 != UInt8(ascii: ":") }
    let candidates = [localCredentials] + (selection.map { [$0.local] } ?? [])
    guard let credentials = candidates.first(where: { $0.fragment.utf8.elementsEqual(fragment) }) else { throw .foreignUsername }
    guard received.isAuthentic(bytes, .shortTerm(password: credentials.password)) else { throw .wrongPassword }
    return credentials
  }

  /// RFC 8445 §7.3.1.1. `false` when the peer has to change its role.
  private mutating func resolveRoleConflict(_ request: STUNMessage, now: Instant) -> Bool {
    for attribute in request.attributes {
      switch (attribute, role) {
      case (.iceControlling(let theirs), .controlling):
        if tieBreaker >= theirs { return false }
        changeRole(to: .controlled, now: now)
      case (.iceControlled(let theirs), .controlled):
        // A lite agent does not check, so it cannot control a full one (§6.1.1).
        if configuration.isLite || tieBreaker < theirs { return false }
        changeRole(to: .controlling, now: now)
      default: continue
      }
      return true
    }
    return true
  }

  mutating func changeRole(to role: ICERole, now: Instant) {
    guard role != self.role else { return }
    self.role = role
    list.recomputePriorities(role)
    nominating = nil
    for index in list.pairs.indices { list.pairs[index].isNominated = false }
    note(.role(role), now: now)
    raise(.roleChanged(role))
  }

  /// RFC 8445 §7.3.1.3 to §7.3.1.5: who asks is a candidate, and USE-CANDIDATE is the controlling side's choice.
  private mutating func learn(from request: STUNMessage, _ source: SocketAddress, _ base: ICEBase, now: Instant) {
    guard let remote = list.remote(at: source, base.transport) ?? insertPeerReflexive(source, base, request.priority, now: now),
      let index = list.insertPair(on: base, remote: remote, role)
    else { return drops.limit += 1 }
    list.pairs[index].counters.requestsReceived &+= 1
    list.pairs[index].requestReceivedAt = now
    if configuration.isLite {
      // The check itself is all that a lite agent learns; it counts as a success.
      if list.pairs[index].state != .succeeded { succeed(index, now: now) }
      // Nominations may overtake each other; where a peer goes on checking shows which one it meant.
      if request.usesCandidate || succession != nil { select(index, now: now) }
      return
    }
    let isNomination = request.usesCandidate && role == .controlled
    if isNomination { (list.pairs[index].isNominated, list.pairs[index].nominatedAt) = (true, now) }
    guard list.pairs[index].state == .succeeded else { return triggerCheck(index, now: now) }
    // Named once is named until another is: a better pair may have seemed alive then, and be dead now.
    let isPending = list.pairs[index].isNominated && list.pairs[index].id != selection?.pair.id
    if isNomination || isPending && role == .controlled { adoptNomination(index, now: now) }
  }

  private mutating func insertPeerReflexive(_ source: SocketAddress, _ base: ICEBase, _ priority: UInt32?, now: Instant) -> Int? {
    let candidate = ICECandidate(
      // Known to nobody else, so unlike every other (RFC 8445 §7.3.1.3).
      foundation: random.text(8), transport: base.transport,
      priority: priority ?? ICECandidate.priority(.peerReflexive, base.transport), host: .ip(source.ip), port: source.port,
      type: .peerReflexive, tcpType: base.transport == .tcp ? .active : nil)
    if list.remotes.count >= configuration.limits.remoteCandidates {
      // A peer whose NAT gives it a new port now and then leaves many addresses behind in a long session.
      let selected = selection?.pair.id
      list.compact { $0.id == selected || $0.requestReceivedAt.map { now - $0 < Self.forgetAfter } ?? false }
    }
    let index = list.insert(remote: candidate)
    if index != nil { note(.remoteCandidate(.peerReflexive), now: now) }
    return index
  }

  /// The peer speaks over the selected pair. To a lite agent that is consent too: it has no other (RFC 7675 §5.1 leaves it
  /// without, which is why the lifetime is kept here).
  private mutating func hear(from source: SocketAddress, on base: ICEBase, now: Instant) {
    guard let pair = selection?.pair, pair.remote == source, pair.base == base else { return }
    selection?.heardAt = now
    if configuration.isLite { selection?.consent.renewedAt = now }
  }

  /// How long an address that a peer checked from is remembered when room is needed.
  private static let forgetAfter = TimeSpan.seconds(30)
}

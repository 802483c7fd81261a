package import MartletPrimitives
internal import MartletSTUN

extension ICEAgent {
  /// Adds a candidate of ours and answers what to signal, or `nil` when it is known already or there are too many.
  ///
  /// - Parameters:
  ///   - address: What the peer should send to. For a host candidate it differs from the base behind a one-to-one NAT; for a
  ///     reflexive one it is what the STUN or TURN server saw; for a relayed one it is the relayed address, as is the base.
  ///   - server: The STUN or TURN server that it was learned from.
  ///   - preference: More is better; 65,535 for the only address (RFC 8445 §5.1.2.2 asks for different ones).
  @discardableResult package mutating func addLocal(
    _ type: ICECandidateType, _ address: SocketAddress, base: ICEBase, server: IPAddress? = nil, related: SocketAddress? = nil,
    tcpType: ICETCPType? = nil, preference: UInt16 = .max, now: Instant
  ) -> ICECandidate? {
    var candidate = ICECandidate(
      foundation: foundation(type, base, server), transport: base.transport,
      priority: ICECandidate.priority(type, base.transport, tcpType, preference: preference), host: .ip(address.ip),
      port: address.port, type: type, tcpType: tcpType)
    if let related = related ?? (type == .serverReflexive ? base.address : nil) {
      candidate.related = ICECandidate.Related(.ip(related.ip), related.port)
    }
    guard list.append(local: ICELocalCandidate(candidate: candidate, base: base)) else { return nil }
    if !configuration.isLite, selection?.generation != generation { list.formPairs(local: list.locals.count - 1, role) }
    proceed(now: now)
    return candidate
  }

  /// A socket or an allocation is gone: nothing goes out or comes in there any more.
  package mutating func removeLocal(_ base: ICEBase, now: Instant) {
    list.retire(base)
    let isSelected = selection?.pair.base == base
    for index in list.pairs.indices where list.pairs[index].base == base && list.pairs[index].state != .failed {
      checks.removeAll { $0.pair == list.pairs[index].id }
      list.take(index)
      failPair(index, .unreachable, now: now)
    }
    if isSelected { loseSelection(now: now) }
    proceed(now: now)
  }

  /// No more local candidates come (before the next restart).
  package mutating func endOfLocalCandidates(now: Instant) {
    hasAllLocals = true
    proceed(now: now)
  }

  /// The peer's credentials, with the first description it sends. Checks begin.
  ///
  /// Throws `restartNeeded` when they are not those given before.
  package mutating func setRemote(_ credentials: ICECredentials, isLite: Bool = false, now: Instant) throws(ICEError) {
    guard state != .closed else { throw .closed }
    if let remoteCredentials {
      guard remoteCredentials == credentials else { throw .restartNeeded }
      return
    }
    remoteCredentials = credentials
    remoteIsLite = isLite
    startedAt = now
    // RFC 8445 §6.1.1: a full agent controls a lite one; two lite ones keep the roles of offerer and answerer.
    if isLite { changeRole(to: configuration.isLite ? configuration.role : .controlling, now: now) }
    proceed(now: now)
  }

  /// A candidate of the peer, at any time (RFC 8838). One that only has a name comes back as `needsResolution`; one of another
  /// component or generation is passed over.
  package mutating func addRemote(_ candidate: ICECandidate, now: Instant) throws(ICEError) {
    guard state != .closed else { throw .closed }
    guard candidate.component == 1 else { return }
    if let fragment = candidate.fragment, let remoteCredentials, fragment != remoteCredentials.fragment { return }
    let isNew = !list.remotes.contains { $0.host == candidate.host && $0.port == candidate.port && $0.transport == candidate.transport }
    guard let index = list.insert(remote: candidate) else {
      throw .limit("remote candidates", maximum: configuration.limits.remoteCandidates)
    }
    if isNew { note(.remoteCandidate(candidate.type), now: now) }
    guard candidate.address != nil else {
      if isNew { raise(.needsResolution(candidate)) }
      return
    }
    guard !configuration.isLite, selection?.generation != generation else { return proceed(now: now) }
    list.formPairs(remote: index, role)
    proceed(now: now)
  }

  /// The peer has no more candidates (RFC 8838 §14).
  package mutating func endOfRemoteCandidates(now: Instant) {
    hasAllRemotes = true
    proceed(now: now)
  }

  /// A TCP connection that `needsConnection` asked for is there.
  package mutating func connected(_ base: ICEBase, to remote: SocketAddress, now: Instant) {
    guard let index = list.pair(on: base, to: remote), list.pairs[index].connection == .requested else { return }
    list.pairs[index].connection = .none
    list.trigger(index)
    proceed(now: now)
  }

  /// Nothing gets from this base to this address: a connection that was refused or broke, no route, an ICMP error. Whether a
  /// datagram path that was selected is gone, only consent tells: ICMP is easily forged, and routes come back.
  package mutating func unreachable(_ base: ICEBase, to remote: SocketAddress, now: Instant) {
    let isSelected = selection.map { $0.pair.base == base && $0.pair.remote == remote } ?? false
    guard !isSelected || base.transport == .tcp else { return }
    if let index = list.pair(on: base, to: remote), list.pairs[index].state != .failed {
      checks.removeAll { $0.pair == list.pairs[index].id }
      list.take(index)
      failPair(index, .unreachable, now: now)
    }
    if isSelected { loseSelection(now: now) }
    proceed(now: now)
  }

  /// RFC 8445 §5.1.1.3: equal for the same type, base address, server and transport.
  private func foundation(_ type: ICECandidateType, _ base: ICEBase, _ server: IPAddress?) -> String {
    let key = "\(foundationSalt) \(type.rawValue) \(base.address.ip) \(server?.description ?? "") \(base.transport.rawValue)"
    return String(UInt32(truncatingIfNeeded: StableHash.of(key)))
  }
}

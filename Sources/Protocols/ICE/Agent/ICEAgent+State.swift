package import MartletPrimitives
internal import MartletSTUN

// What the transport is like as a whole, and its beginnings and ends.
extension ICEAgent {
  /// Begins a new generation (RFC 8445 §9) and answers the credentials to signal. The pair in use goes on by its old
  /// credentials until another is selected. Our candidates stay; the peer's credentials and candidates are to come.
  ///
  /// - Parameter credentials: those of ours, where signaling has made them (or takes former ones up again); without, new ones.
  @discardableResult package mutating func restart(with credentials: ICECredentials? = nil, now: Instant) -> ICECredentials {
    guard state != .closed else { return localCredentials }
    generation &+= 1
    localCredentials = credentials ?? ICECredentials(prefix: configuration.fragmentPrefix, random: &random)
    remoteCredentials = nil
    (remoteIsLite, hasAllRemotes, hasFailed) = (false, false, false)
    (startedAt, firstSuccessAt, nominating, succession) = (nil, nil, nil, nil)
    checks = []
    let locals = list.locals.filter { $0.candidate.type != .peerReflexive && !$0.isRetired }
    list = CheckList(limits: configuration.limits, locals: locals, firstID: list.unusedID)
    note(.restarted, now: now)
    updateState(now: now)
    return localCredentials
  }

  /// The role that signaling gives (RFC 8445 §6.1.1), before checks begin.
  package mutating func takeRole(_ role: ICERole, now: Instant) {
    if startedAt == nil, !configuration.isLite { changeRole(to: role, now: now) }
  }

  /// Nothing is sent or taken any more.
  package mutating func close(now: Instant) {
    guard state != .closed else { return }
    selection = nil
    checks = []
    list = CheckList(limits: configuration.limits)
    move(to: .closed, now: now)
  }

  /// RFC 8863 §4: not before `patience` is over, and not while a check is under way.
  func giveUpAt(_ startedAt: Instant) -> Instant {
    if let succession { return succession.until }
    let patient = startedAt + configuration.patience
    let last = checks.compactMap { $0.isCancelled ? nil : $0.transaction.deadline }.max()
    return max(patient, last ?? patient)
  }

  mutating func updateState(now: Instant) {
    if selection == nil, let startedAt, giveUpAt(startedAt) <= now { hasFailed = true }
    move(to: currentState(now: now), now: now)
  }

  private func currentState(now: Instant) -> ICEState {
    if let selection {
      if now - selection.heardAt >= configuration.disconnectedAfter { return .disconnected }
      guard selection.generation == generation, !configuration.isLite, hasAllLocals, hasAllRemotes else { return .connected }
      return list.isWorking || !checks.isEmpty ? .connected : .completed
    }
    if hasFailed { return .failed }
    if let succession {
      let isShort = now - succession.heardAt < configuration.disconnectedAfter
      return isShort && hasSuccessor(now: now) ? .connected : .disconnected
    }
    return remoteCredentials == nil ? .new : .checking
  }

  private mutating func move(to next: ICEState, now: Instant) {
    guard next != state else { return }
    // Users of the W3C states wait for `connected`.
    if next == .completed, state == .new || state == .checking { move(to: .connected, now: now) }
    state = next
    note(.state(next), now: now)
    raise(.stateChanged(next))
    guard next == .failed else { return }
    checks = []
  }
}

internal import MartletPrimitives

/// The candidates of one generation, the pairs made of them, and which is checked next (RFC 8445 §6.1.2, §6.1.4.2). With
/// BUNDLE and rtcp-mux there is one data stream of one component, so one list.
struct CheckList {
  private(set) var locals: [ICELocalCandidate] = []
  private(set) var remotes: [ICECandidate] = []
  var pairs: [CandidatePair] = []
  /// Pairs to check before all others, by id.
  private(set) var triggered: [UInt32] = []

  private var nextID: UInt32 = 0
  /// Each pair of foundations met, its place being its number.
  private var foundations: [(local: String, remote: String)] = []
  private let limits: ICELimits

  init(limits: ICELimits, locals: [ICELocalCandidate] = [], firstID: UInt32 = 0) {
    self.limits = limits
    self.locals = locals
    nextID = firstID
  }

  /// The id that the next pair gets: ids go on across a restart, so that a report names each pair once.
  var unusedID: UInt32 { nextID }

  mutating func append(local: ICELocalCandidate) -> Bool {
    guard locals.count < limits.localCandidates, !locals.contains(where: { $0.base == local.base && $0.candidate == local.candidate })
    else { return false }
    locals.append(local)
    return true
  }

  /// Its candidates make no pairs any more; they keep their places.
  mutating func retire(_ base: ICEBase) {
    for index in locals.indices where locals[index].base == base { locals[index].isRetired = true }
  }

  /// The place of the candidate at this address; a signalled one takes over that of a peer-reflexive one, since only then
  /// its type and foundation are known (RFC 8838 §11). `nil` when there are too many.
  mutating func insert(remote: ICECandidate) -> Int? {
    let known = remotes.firstIndex { $0.host == remote.host && $0.port == remote.port && $0.transport == remote.transport }
    if let known {
      if remotes[known].type == .peerReflexive, remote.type != .peerReflexive { remotes[known] = remote }
      return known
    }
    // What was only a name is in no pair, and need not be kept beside its address.
    if let named = remotes.firstIndex(where: { $0.address == nil && $0.resembles(remote) }) {
      remotes[named] = remote
      return named
    }
    guard remotes.count < limits.remoteCandidates else { return nil }
    remotes.append(remote)
    return remotes.count - 1
  }

  func remote(at address: SocketAddress, _ transport: ICETransport) -> Int? {
    remotes.firstIndex { $0.address == address && $0.transport == transport }
  }

  func pair(on base: ICEBase, to remote: SocketAddress) -> Int? { pairs.firstIndex { $0.base == base && $0.remoteAddress == remote } }
  func pair(_ id: UInt32) -> Int? { pairs.firstIndex { $0.id == id } }

  // MARK: Forming pairs

  /// Pairs this remote candidate with every local transport that suits it.
  mutating func formPairs(remote: Int, _ role: ICERole) {
    for local in locals.indices where Self.suits(locals[local], remotes[remote]) { appendPair(local, remote, role) }
  }

  /// Pairs this local candidate with every remote candidate that suits it.
  mutating func formPairs(local: Int, _ role: ICERole) {
    for remote in remotes.indices where Self.suits(locals[local], remotes[remote]) { appendPair(local, remote, role) }
  }

  /// Pairs everything that suits each other and is in no pair.
  mutating func formPairs(_ role: ICERole) {
    for remote in remotes.indices { formPairs(remote: remote, role) }
  }

  /// RFC 8445 §6.1.2.2 and §6.1.2.4: reflexive candidates are stood for by their base, which is a candidate of its own.
  /// RFC 6544 §6.2: of a TCP pair our side is the active one; the passive side learns of it by the check.
  private static func suits(_ local: ICELocalCandidate, _ remote: ICECandidate) -> Bool {
    guard let address = remote.address, remote.port != 0, local.base.transport == remote.transport, isUnicast(address.ip) else {
      return false
    }
    guard local.isSendable else { return false }
    guard local.base.transport == .udp || local.candidate.tcpType == .active && remote.tcpType == .passive else { return false }
    return scope(local.base.address.ip) == scope(address.ip)
  }

  private static func isUnicast(_ ip: IPAddress) -> Bool {
    switch ip {
    case .v4(let value): value != 0 && value >> 28 != 0xE && value != .max
    case .v6(let high, let low): (high, low) != (0, 0) && high >> 56 != 0xFF
    }
  }

  /// Addresses of different scopes do not reach each other.
  private static func scope(_ ip: IPAddress) -> Int {
    switch ip {
    case .v4: 4
    case .v6(let high, _): high >> 54 == 0x3FA ? 1 : 6
    }
  }

  @discardableResult private mutating func appendPair(_ local: Int, _ remote: Int, _ role: ICERole) -> Int? {
    guard let address = remotes[remote].address else { return nil }
    if let known = pair(on: locals[local].base, to: address) { return known }
    let priority = CandidatePair.priority(
      local: locals[local].candidate.priority, remote: remotes[remote].priority, role)
    guard makeRoom(for: priority) else { return nil }
    var pair = CandidatePair(
      id: nextID, base: locals[local].base, remoteAddress: address, local: local, remote: remote,
      foundation: foundation(locals[local].candidate.foundation, remotes[remote].foundation), priority: priority)
    if pair.base.transport == .tcp, locals[local].candidate.tcpType == .active { pair.connection = .needed }
    pair.state = initialState(pair.foundation)
    nextID &+= 1
    pairs.append(pair)
    return pairs.count - 1
  }

  /// For a check that came in: any local candidate with this base will do, also a passive one.
  mutating func insertPair(on base: ICEBase, remote: Int, _ role: ICERole) -> Int? {
    guard let local = locals.firstIndex(where: { $0.base == base && $0.isSendable }) else { return nil }
    guard let index = appendPair(local, remote, role) else { return nil }
    // What came in on a connection shows that it is there.
    pairs[index].connection = .none
    return index
  }

  /// RFC 8838 §12: a pair waits if one of its foundation has succeeded or none is under way, else it is frozen.
  private func initialState(_ foundation: Int) -> ICEPairState {
    var isHeld = false
    for pair in pairs where pair.foundation == foundation {
      if pair.state == .succeeded { return .waiting }
      if pair.state == .waiting || pair.state == .inProgress { isHeld = true }
    }
    return isHeld ? .frozen : .waiting
  }

  private mutating func foundation(_ local: String, _ remote: String) -> Int {
    if let known = foundations.firstIndex(where: { $0 == (local, remote) }) { return known }
    foundations.append((local, remote))
    return foundations.count - 1
  }

  /// RFC 8445 §6.1.2.5: at the limit the least important pair goes, unless it is at work.
  private mutating func makeRoom(for priority: UInt64) -> Bool {
    guard pairs.count >= limits.pairs else { return true }
    let idle = pairs.indices.filter { [.frozen, .waiting, .failed].contains(pairs[$0].state) }
    guard let least = idle.min(by: { pairs[$0].priority < pairs[$1].priority }) else { return false }
    guard pairs[least].priority < priority || pairs[least].state == .failed else { return false }
    triggered.removeAll { $0 == pairs[least].id }
    pairs.remove(at: least)
    return true
  }

  /// Forgets all other pairs, and the peer-reflexive candidates that are then in no pair.
  mutating func compact(keeping isWanted: (CandidatePair) -> Bool) {
    pairs = pairs.filter(isWanted)
    let ids = Set(pairs.map(\.id))
    triggered.removeAll { !ids.contains($0) }
    let used = Set(pairs.map(\.remote))
    let kept = remotes.indices.filter { remotes[$0].type != .peerReflexive || used.contains($0) }
    for index in pairs.indices { pairs[index].remote = kept.firstIndex(of: pairs[index].remote) ?? 0 }
    remotes = kept.map { remotes[$0] }
  }

  // MARK: Order of checks

  /// - Parameter ahead: of all others that are triggered.
  mutating func trigger(_ index: Int, ahead: Bool = false) {
    if pairs[index].state != .succeeded { pairs[index].state = .waiting }
    let id = pairs[index].id
    if ahead { triggered.removeAll { $0 == id } }
    if !triggered.contains(id) { triggered.insert(id, at: ahead ? 0 : triggered.count) }
  }

  /// RFC 8445 §6.1.4.2: triggered pairs first, then the most important that waits, then one of the frozen whose foundation
  /// nobody is checking.
  var next: Int? {
    if let id = triggered.first, let index = pair(id) { return index }
    if let waiting = best(where: { $0.state == .waiting }) { return waiting }
    return best { pair in
      pair.state == .frozen && !pairs.contains { $0.foundation == pair.foundation && $0.state == .inProgress }
    }
  }

  /// Removes `next` from the queue it came from.
  mutating func take(_ index: Int) { triggered.removeAll { $0 == pairs[index].id } }

  func best(where isWanted: (CandidatePair) -> Bool) -> Int? {
    var best: Int?
    for index in pairs.indices where isWanted(pairs[index]) {
      if best.map({ pairs[$0].priority < pairs[index].priority }) ?? true { best = index }
    }
    return best
  }

  /// A TCP connection of ours that broke may be made again.
  mutating func reconnect(_ id: UInt32) {
    guard let index = pair(id), pairs[index].state == .failed, pairs[index].base.transport == .tcp, !locals[pairs[index].local].isRetired,
      remotes[pairs[index].remote].tcpType == .passive
    else { return }
    pairs[index].connection = .needed
    pairs[index].state = .waiting
  }

  /// A pair that was not answered may not have been asked to the end, since another was selected then.
  mutating func revive() {
    for index in pairs.indices where pairs[index].state == .failed && pairs[index].failure == .timeout { pairs[index].state = .waiting }
  }

  /// RFC 8445 §7.2.5.3.3.
  mutating func unfreeze(_ foundation: Int) {
    for index in pairs.indices where pairs[index].state == .frozen && pairs[index].foundation == foundation {
      pairs[index].state = .waiting
    }
  }

  /// Once a pair is selected those never tried are not needed (RFC 8445 §8.1.2). What was tried stays, to be looked at.
  mutating func removeUntried() {
    let due = triggered
    pairs.removeAll { [.frozen, .waiting].contains($0.state) && !due.contains($0.id) }
  }

  /// A pair that waits for a TCP connection does not count: that may take minutes.
  var isWorking: Bool { pairs.contains { [.frozen, .waiting, .inProgress].contains($0.state) && $0.connection != .requested } }

  /// RFC 8445 §7.3.1.1: the formula depends on the role.
  mutating func recomputePriorities(_ role: ICERole) {
    for index in pairs.indices {
      pairs[index].priority = CandidatePair.priority(
        local: locals[pairs[index].local].candidate.priority, remote: remotes[pairs[index].remote].priority, role)
    }
  }

  /// The local candidate that a peer at the other end of this base sees, if we know it.
  func local(on base: ICEBase, mappedTo address: SocketAddress) -> Int? {
    locals.firstIndex { $0.base == base && $0.candidate.address == address }
  }

  /// A candidate learned from an answer (RFC 8445 §7.2.5.3.1); it only names our side of a valid pair.
  mutating func appendPeerReflexive(_ address: SocketAddress, on base: ICEBase, priority: UInt32, foundation: String) -> Int? {
    guard locals.count < limits.localCandidates else { return nil }
    let candidate = ICECandidate(
      foundation: foundation, transport: base.transport, priority: priority, host: .ip(address.ip), port: address.port,
      type: .peerReflexive, related: ICECandidate.Related(.ip(base.address.ip), base.address.port))
    locals.append(ICELocalCandidate(candidate: candidate, base: base))
    return locals.count - 1
  }
}

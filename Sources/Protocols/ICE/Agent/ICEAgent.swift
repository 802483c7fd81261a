package import MartletPrimitives
internal import MartletSTUN

/// One ICE transport (RFC 8445): finds a pair of addresses over which two peers reach each other, and keeps it.
///
///     new ── setRemote ──▶ checking ── a pair is selected ──▶ connected ◀──▶ disconnected
///                             │                                  │ consent expires   ▲
///                             └── nothing works ──▶ failed ◀─────┘       restart ────┘ (from failed too, to new)
///
/// The full agent checks pairs and nominates one when it controls; the lite agent only answers. Both send data to no address
/// that has not shown that it knows the password. One component, since BUNDLE and rtcp-mux leave one.
///
/// After every call the driver drains `pollTransmit` and `pollEvent` and calls `timeout` at `deadline`.
package struct ICEAgent: ~Copyable {
  package let configuration: ICEConfiguration
  package internal(set) var role: ICERole
  package internal(set) var state = ICEState.new
  package internal(set) var localCredentials: ICECredentials
  package internal(set) var remoteCredentials: ICECredentials?
  package internal(set) var drops = ICEDrops()

  var random: RandomSource
  var tieBreaker: UInt64
  /// Keeps foundations from telling the addresses behind them.
  let foundationSalt: UInt64
  var list: CheckList
  var checks: [OutstandingCheck] = []
  var selection: Selection?
  var generation: UInt32 = 0
  var remoteIsLite = false
  var hasAllLocals = false
  var hasAllRemotes = false
  var hasFailed = false
  /// When the peer's credentials came.
  var startedAt: Instant?
  var nextCheckAt = Instant.zero
  /// When the first pair of this generation worked.
  var firstSuccessAt: Instant?
  /// The pair that is being nominated.
  var nominating: UInt32?
  /// While the pair in use is silent or gone.
  var succession: Succession?
  var replays = ReplayWindow()
  private var transmits = Deque<ICETransmit>()
  private var events = Deque<ICEEvent>()
  private var traced = Deque<ICETraceEntry>()

  /// Candidates are added by the driver, as it learns of them.
  package init(_ configuration: ICEConfiguration, random: RandomSource) {
    self.configuration = configuration
    self.random = random
    role = configuration.isLite ? .controlled : configuration.role
    localCredentials = ICECredentials(prefix: configuration.fragmentPrefix, random: &self.random)
    tieBreaker = self.random.next()
    foundationSalt = self.random.next()
    list = CheckList(limits: configuration.limits)
  }

  // MARK: What to read

  /// What to send data over; `nil` when there is nothing that may be sent to.
  package var selectedPair: ICESelectedPair? { selection?.pair }
  package var hasSelectedPair: Bool { selection != nil }

  /// Our candidates in the order in which they were added, to be signalled.
  package var localCandidates: [ICECandidate] {
    list.locals.filter { $0.candidate.type != .peerReflexive && !$0.isRetired }.map(\.candidate)
  }

  package var remoteCandidates: [ICECandidate] { list.remotes }

  /// Every pair of this generation that was tried or is to be.
  package var pairs: [ICEPairReport] {
    list.pairs.map { pair in
      ICEPairReport(
        id: pair.id, local: list.locals[pair.local].candidate, remote: list.remotes[pair.remote], priority: pair.priority,
        state: pair.state, isNominated: pair.isNominated, isSelected: pair.id == selection?.pair.id, failure: pair.failure,
        counters: pair.counters)
    }
  }

  /// The last facts, the oldest first.
  package var trace: [ICETraceEntry] { Array(traced) }

  // MARK: What to drain

  /// The next message to send. What does not leave is lost, as on a network.
  package mutating func pollTransmit() -> ICETransmit? {
    let next = transmits.popFirst()
    // An idle agent keeps no buffers.
    if next == nil { transmits.removeAll() }
    return next
  }

  package mutating func pollEvent() -> ICEEvent? {
    let next = events.popFirst()
    if next == nil { events.removeAll() }
    return next
  }

  // MARK: Inside

  mutating func transmit(_ bytes: [UInt8], _ base: ICEBase, to remote: SocketAddress) {
    guard transmits.count < configuration.limits.transmits else { return drops.transmits += 1 }
    transmits.append(ICETransmit(base: base, to: remote, bytes: bytes))
  }

  mutating func raise(_ event: ICEEvent) { events.append(event) }

  mutating func note(_ fact: ICETraceEntry.Fact, now: Instant) {
    if traced.count >= configuration.limits.trace { traced.popFirst() }
    guard configuration.limits.trace > 0 else { return }
    traced.append(ICETraceEntry(time: now, fact: fact))
  }

  mutating func failPair(_ index: Int, _ failure: ICEPairFailure, now: Instant) {
    list.pairs[index].state = .failed
    list.pairs[index].failure = failure
    list.pairs[index].isNominated = false
    let id = list.pairs[index].id
    if nominating == id { nominating = nil }
    note(.failed(pair: id, failure), now: now)
  }
}

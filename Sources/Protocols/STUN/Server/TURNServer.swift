package import MartletPrimitives

/// A STUN and TURN server (RFC 8489, RFC 8656) for the clients of one worker, over all transports.
///
/// The driver gives it every message of a client (a stream cut by `TURNStreamReader`) and does what `pollOutput` says. Packets take
/// two shortcuts that allocate nothing and queue nothing: what `receive` answers is to be sent to the peer as it lies, and what a
/// relay hears is framed by `deliver`.
package struct TURNServer: ~Copyable {
  package struct Statistics: Equatable, Sendable {
    package internal(set) var bindings = 0
    /// Allocations since the start.
    package internal(set) var allocations = 0
    /// Challenges, which begin every allocation, are not among them.
    package internal(set) var refusals: [Int: Int] = [:]
    package internal(set) var challenges = 0
    /// Refusals that were not sent: too many to one address, or larger than what may be answered.
    package internal(set) var withheld = 0
    /// What was no message, or had no place.
    package internal(set) var malformed = 0
    /// From or to peers without a permission.
    package internal(set) var unpermitted = 0
    package internal(set) var usage = TURNUsage()
  }

  package var configuration: TURNServerConfiguration
  package var credentials: TURNCredentials
  /// Of what was made for tokens.
  package var revocations = TURNRevocations()
  package var rules: PeerRules
  /// With a second address and port: a flow over UDP has the place of its socket's address as its path.
  package var discovery: DiscoveryAddresses?
  package var nonces: TURNNonces
  package internal(set) var statistics = Statistics()

  var random: RandomSource
  /// Numbers indications, which nothing answers: they need not be secret.
  var indications: RandomSource
  var allocations: [TURNFlow: TURNAllocation] = [:]
  /// Packets come in batches of one client.
  private var recent: TURNAllocation?
  var relays = Slab<TURNAllocation>()
  var deadlines = TimerTable<TURNRelayID>()
  /// Of TCP relays to peers.
  var connections: [UInt32: TURNPeerConnection] = [:]
  var connectionDeadlines = TimerTable<UInt32>()
  var refusals: RefusalMeter
  /// Until their end has been told.
  private var ended: [TURNRelayID: TURNAllocation] = [:]
  private var told: TURNRelayID?
  private var outputs = Deque<TURNOutput>()
  /// Unix seconds at `Instant.zero`.
  private var epoch: Int64 = 0

  package init(
    _ configuration: TURNServerConfiguration, credentials: TURNCredentials, rules: PeerRules, nonces: TURNNonces, random: RandomSource
  ) {
    self.configuration = configuration
    self.credentials = credentials
    self.rules = rules
    self.nonces = nonces
    self.random = random
    indications = RandomSource(seed: self.random.next())
    refusals = RefusalMeter(random: &self.random)
  }

  /// What the clock of people says, by which accounts end. To be said at the start and now and then.
  package mutating func setTime(unix: Int64, now: Instant) { epoch = unix - now.nanoseconds / 1_000_000_000 }

  func unixTime(_ now: Instant) -> Int64 { epoch + now.nanoseconds / 1_000_000_000 }

  package mutating func pollOutput() -> TURNOutput? {
    if let id = exchange(&told, with: nil) { ended[id] = nil }
    let output = outputs.popFirst()
    if case .event(.ended(let id, _)) = output { told = id }
    return output
  }

  package var allocationCount: Int { allocations.count }
  package func allocationCount(_ transport: TURNRelayTransport) -> Int {
    allocations.values.count { $0.isOpen && $0.transport == transport }
  }

  package func hasAllocation(_ flow: TURNFlow) -> Bool { allocations[flow] != nil }

  mutating func allocation(of flow: TURNFlow) -> TURNAllocation? {
    if let recent, recent.flow == flow { return recent }
    recent = allocations[flow]
    return recent
  }

  mutating func emit(_ output: TURNOutput) { outputs.append(output) }

  // MARK: Time

  /// When to call `timeout`.
  package var deadline: Instant? {
    guard let first = deadlines.deadline, let second = connectionDeadlines.deadline else {
      return deadlines.deadline ?? connectionDeadlines.deadline
    }
    return min(first, second)
  }

  /// Ends what was not refreshed. Permissions and channels are looked at when they are used.
  package mutating func timeout(now: Instant) {
    expireConnections(now: now)
    while let id = deadlines.popDue(now: now) {
      guard let allocation = relays[id] else { continue }
      if allocation.expires <= now { end(allocation, .expired) } else { _ = deadlines.schedule(at: allocation.expires, id) }
    }
  }

  // MARK: Ends

  /// The connection of these clients is gone, and what they have with it (RFC 8656 §7.3).
  package mutating func flowDidEnd(_ flow: TURNFlow) {
    if let allocation = allocations[flow] { end(allocation, .disconnected) }
  }

  /// - Returns: false when there is none of that name.
  @discardableResult package mutating func close(_ id: TURNRelayID) -> Bool {
    guard let allocation = relays[id] else { return false }
    end(allocation, .closed)
    return true
  }

  /// Closes what these have: all of a user, or what was had by a grant that has been revoked.
  /// - Returns: how many allocations that were.
  package mutating func closeAllocations(of user: String) -> Int { close { $0.user == user } }

  package mutating func closeRevoked() -> Int {
    let revocations = revocations
    return close { revocations.contain($0.user, $0.grant) }
  }

  private mutating func close(where isMeant: (TURNAllocation) -> Bool) -> Int {
    let meant = allocations.values.filter(isMeant)
    for allocation in meant { end(allocation, .closed) }
    return meant.count
  }

  mutating func end(_ allocation: TURNAllocation, _ reason: TURNAllocationEnd) {
    allocations[allocation.flow] = nil
    recent = nil
    if allocation.transport == .tcp { endConnections(of: allocation) }
    for relay in allocation.relays { close(relay) }
    guard case .open = allocation.state, let first = allocation.relays.first else { return }
    statistics.usage.add(allocation.usage)
    ended[first.id] = allocation
    emit(.event(.ended(first.id, reason)))
  }

  mutating func close(_ relay: TURNAllocation.Relay) {
    relays.remove(relay.id)
    emit(.close(relay.id))
  }
}

// What an allocation looks like from outside.
extension TURNServer {
  package struct AllocationReport: Sendable {
    /// Of its first relay.
    package let id: TURNRelayID
    package let user: String
    package let flow: TURNFlow
    package let transport: TURNRelayTransport
    package let relayed: [SocketAddress]
    package let since: Instant
    package let expires: Instant
    package let permissions: Int
    package let channels: Int
    package let usage: TURNUsage

    fileprivate init?(_ allocation: TURNAllocation, id: TURNRelayID) {
      guard case .open = allocation.state else { return nil }
      self.id = id
      (user, flow, transport, since) = (allocation.user, allocation.flow, allocation.transport, allocation.since)
      relayed = allocation.relays.compactMap(\.address)
      (expires, usage) = (allocation.expires, allocation.usage)
      (permissions, channels) = (allocation.permissions.count, allocation.channels.count)
    }
  }

  package var reports: [AllocationReport] {
    allocations.values.compactMap { allocation in allocation.relays.first.flatMap { AllocationReport(allocation, id: $0.id) } }
  }

  /// Of one that is there, or of one whose end has just been told.
  package func report(_ id: TURNRelayID) -> AllocationReport? {
    (relays[id] ?? ended[id]).flatMap { AllocationReport($0, id: id) }
  }

  /// Of all that ended, and of those there are.
  package var usage: TURNUsage {
    allocations.values.reduce(into: statistics.usage) { $0.add($1.usage) }
  }
}

extension TURNUsage {
  mutating func add(_ other: TURNUsage) {
    packetsSent &+= other.packetsSent
    bytesSent &+= other.bytesSent
    packetsReceived &+= other.packetsReceived
    bytesReceived &+= other.bytesReceived
    dropped &+= other.dropped
  }
}

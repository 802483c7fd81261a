package import MartletPrimitives

/// Finds out what a NAT does, by asking a server of RFC 5780 from two sockets.
///
///     asking ──▶ filtering (and hairpinning) ──▶ mapping ──▶ finished
///
/// Filtering comes before mapping (RFC 5780 §4.4): what is sent to the server's other address lets its answers in. The two questions
/// of each step are under way at once; that no answer comes is one of the answers, so a step takes as long as a request is repeated.
package struct NATBehaviorDiscovery: Sendable {
  /// The one that is asked about, and one that only sends to its outside address.
  package enum Socket: Sendable { case main, second }

  package struct Transmit: Equatable, Sendable {
    package let socket: Socket
    package let to: SocketAddress
    package let bytes: [UInt8]
  }

  private enum Test: Sendable { case first, changeAddressAndPort, changePort, otherAddress, otherAddressAndPort, hairpin }

  private enum Outcome: Equatable, Sendable {
    case answered(SocketAddress)
    case silent
    /// The server cannot do it: it refused, or answered from where it had not been told to.
    case refused
  }

  private struct Probe: Sendable {
    let test: Test
    let socket: Socket
    let to: SocketAddress
    /// Where the answer must come from.
    let answerFrom: SocketAddress
    let id: TransactionID
    let bytes: [UInt8]
    var transaction: ClientTransaction
  }

  /// 0, 300, 900, 2100 ms, given up at 3.3 s: a person waits.
  package static let schedule = ClientTransaction.Schedule(initial: .milliseconds(300), requests: 4, lastWait: 4)

  /// `nil` until it is finished.
  package private(set) var result: NATBehavior?
  private let server: SocketAddress
  private let locals: [IPAddress]
  private let localPort: UInt16
  private let schedule: ClientTransaction.Schedule
  private var random: RandomSource
  private var other: SocketAddress?
  private var probes: [Probe] = []
  private var outcomes: [Test: Outcome] = [:]
  private var transmits = Deque<Transmit>()

  /// - Parameters:
  ///   - locals: the addresses of this machine that the main socket sends from,
  ///   - port: and its port.
  package init(
    server: SocketAddress, locals: [IPAddress], port: UInt16, schedule: ClientTransaction.Schedule = Self.schedule, random: RandomSource,
    now: Instant
  ) {
    (self.server, self.locals, localPort, self.schedule, self.random) = (server, locals, port, schedule, random)
    ask(.first, to: server, now: now)
  }

  package var deadline: Instant? { probes.compactMap(\.transaction.deadline).min() }

  package mutating func pollTransmit() -> Transmit? { transmits.popFirst() }

  package mutating func timeout(now: Instant) {
    for index in probes.indices {
      switch probes[index].transaction.timeout(now: now) {
      case .none: break
      case .transmit: transmits.append(Transmit(socket: probes[index].socket, to: probes[index].to, bytes: probes[index].bytes))
      case .failed: outcomes[probes[index].test] = .silent
      }
    }
    advance(now: now)
  }

  /// Takes what came to the main socket. Throws, and goes on waiting, when it is nothing that was asked for.
  package mutating func receive(_ bytes: RawSpan, from source: SocketAddress, now: Instant) throws(STUNError) {
    let message = try ReceivedSTUNMessage(parsing: bytes).message
    guard let probe = probes.first(where: { $0.id == message.transaction && outcomes[$0.test] == nil }) else { throw .unknownTransaction }
    switch (message.kind, probe.test) {
    // Our own request has come back by way of the outside.
    case (.request, .hairpin): outcomes[.hairpin] = .answered(source)
    case (.request, _), (.indication, _), (_, .hairpin): throw .unexpected(message.kind, message.method)
    case (.error, _): outcomes[probe.test] = .refused
    case (.success, _):
      guard let mapped = message.mappedAddress, message.unknownRequired.isEmpty else { throw .unexpected(message.kind, message.method) }
      outcomes[probe.test] = source == probe.answerFrom ? .answered(mapped) : .refused
      if probe.test == .first { other = usable(message.otherAddress) }
    }
    advance(now: now)
  }

  /// A second address helps only where both parts of it are others (RFC 5780 §7.4).
  private func usable(_ address: SocketAddress?) -> SocketAddress? {
    guard let address, address.ip != server.ip, address.port != server.port, address.port != 0 else { return nil }
    switch (address.ip, server.ip) {
    case (.v4, .v4), (.v6, .v6): return address
    default: return nil
    }
  }

  // MARK: Steps

  private mutating func advance(now: Instant) {
    while result == nil, probes.allSatisfy({ outcomes[$0.test] != nil }) {
      probes.removeAll()
      if !takeStep(now: now) { result = behavior }
    }
    for index in probes.indices where outcomes[probes[index].test] != nil { probes[index].transaction.finish() }
  }

  /// `false` when nothing is left to ask.
  private mutating func takeStep(now: Instant) -> Bool {
    guard case .answered(let mapped)? = outcomes[.first] else { return false }
    if outcomes[.hairpin] == nil {
      ask(.hairpin, to: mapped, now: now)
      guard let other else { return true }
      let sameAddress = SocketAddress(ip: server.ip, port: other.port)
      ask(.changeAddressAndPort, to: server, answerFrom: other, [.changeRequest(ip: true, port: true)], now: now)
      ask(.changePort, to: server, answerFrom: sameAddress, [.changeRequest(ip: false, port: true)], now: now)
      return true
    }
    guard let other, outcomes[.otherAddress] == nil, !isOurs(mapped) else { return false }
    ask(.otherAddress, to: SocketAddress(ip: other.ip, port: server.port), now: now)
    ask(.otherAddressAndPort, to: other, now: now)
    return true
  }

  private mutating func ask(
    _ test: Test, to: SocketAddress, answerFrom: SocketAddress? = nil, _ attributes: [STUNAttribute] = [], now: Instant
  ) {
    let id = TransactionID(random: &random)
    let bytes = STUNMessage(.request, .binding, id, attributes).encoded()
    let socket = test == .hairpin ? Socket.second : .main
    probes.append(
      Probe(
        test: test, socket: socket, to: to, answerFrom: answerFrom ?? to, id: id, bytes: bytes,
        transaction: ClientTransaction(schedule, now: now)))
    transmits.append(Transmit(socket: socket, to: to, bytes: bytes))
  }

  // MARK: Conclusions

  private func isOurs(_ mapped: SocketAddress) -> Bool { mapped.port == localPort && locals.contains(mapped.ip) }

  private var behavior: NATBehavior {
    guard case .answered(let mapped)? = outcomes[.first] else { return NATBehavior() }
    let hairpins = outcomes[.hairpin].map { $0 != .silent }
    return NATBehavior(mapped: mapped, mapping: mapping(of: mapped), filtering: filtering, hairpins: hairpins)
  }

  /// RFC 5780 §4.3.
  private func mapping(of first: SocketAddress) -> NATBehavior.Mapping? {
    if isOurs(first) { return .direct }
    guard case .answered(let second)? = outcomes[.otherAddress] else { return nil }
    if second == first { return .endpointIndependent }
    guard case .answered(let third)? = outcomes[.otherAddressAndPort] else { return nil }
    return third == second ? .addressDependent : .addressAndPortDependent
  }

  /// RFC 5780 §4.4.
  private var filtering: NATBehavior.Filtering? {
    switch (outcomes[.changeAddressAndPort], outcomes[.changePort]) {
    case (.answered?, _): .endpointIndependent
    case (.silent?, .answered?): .addressDependent
    case (.silent?, .silent?): .addressAndPortDependent
    default: nil
    }
  }
}

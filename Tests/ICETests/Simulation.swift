import MartletICE
import MartletPrimitives
import TestSupport

/// An agent with its sockets, as a driver would hold it.
final class Host {
  var agent: ICEAgent
  var bases: [ICEBase] = []
  var events: [ICEEvent] = []
  /// Between the sockets and the network; `nil` for a public host.
  var nat: NAT?
  /// Sees each datagram that comes, before the agent does.
  var received: [VirtualNetwork.Datagram] = []
  private(set) var errors: [ICEError] = []

  init(_ configuration: ICEConfiguration, seed: UInt64) { agent = ICEAgent(configuration, random: RandomSource(seed: seed)) }

  /// A socket with a host candidate.
  @discardableResult func bind(_ address: SocketAddress, preference: UInt16 = .max, now: Instant = .zero) -> ICEBase {
    let base = ICEBase(socket: UInt32(bases.count), address: address)
    bases.append(base)
    agent.addLocal(.host, address, base: base, preference: preference, now: now)
    return base
  }

  /// A TCP candidate. Its connections keep to datagrams here, and come from the port of the candidate.
  @discardableResult func bind(_ type: ICETCPType, _ address: SocketAddress, preference: UInt16 = .max) -> ICEBase {
    let base = ICEBase(socket: UInt32(bases.count), transport: .tcp, address: address)
    bases.append(base)
    agent.addLocal(.host, address, base: base, tcpType: type, preference: preference, now: .zero)
    return base
  }

  func receive(_ datagram: VirtualNetwork.Datagram, now: Instant) {
    guard let to = nat.map({ $0.inward(datagram) }) ?? datagram.to, let base = bases.first(where: { $0.address == to }) else { return }
    received.append(datagram)
    do throws(ICEError) {
      try agent.receive(datagram.bytes.span.bytes, from: datagram.from, on: base, now: now)
    } catch {
      errors.append(error)
    }
  }

  func drain(into network: inout VirtualNetwork, now: Instant) {
    while let transmit = agent.pollTransmit() {
      let datagram = VirtualNetwork.Datagram(from: transmit.base.address, to: transmit.to, bytes: transmit.bytes)
      network.send(nat.map { $0.outward(datagram) } ?? datagram, now: now)
    }
    while let event = agent.pollEvent() { events.append(event) }
  }

  var states: [ICEState] { events.compactMap { if case .stateChanged(let state) = $0 { state } else { nil } } }
}

/// A symmetric NAT (RFC 4787: address- and port-dependent mapping and filtering): another port for each destination, and only
/// that destination gets back in.
final class NAT {
  private let ip: IPAddress
  private var flows: [(inside: SocketAddress, outside: SocketAddress, peer: SocketAddress)] = []

  init(_ ip: IPAddress) { self.ip = ip }

  func outward(_ datagram: VirtualNetwork.Datagram) -> VirtualNetwork.Datagram {
    let known = flows.first { $0.inside == datagram.from && $0.peer == datagram.to }?.outside
    let outside = known ?? SocketAddress(ip: ip, port: UInt16(50_000 + flows.count))
    if known == nil { flows.append((datagram.from, outside, datagram.to)) }
    return VirtualNetwork.Datagram(from: outside, to: datagram.to, bytes: datagram.bytes)
  }

  func inward(_ datagram: VirtualNetwork.Datagram) -> SocketAddress? {
    flows.first { $0.outside == datagram.to && $0.peer == datagram.from }?.inside
  }

  /// As after a reboot: every flow gets a new port.
  func forget() { flows = flows.map { (SocketAddress(ip: .v4(0), port: 0), $0.outside, $0.peer) } }
}

/// Two hosts, the network between them, and the time.
final class Simulation {
  let left: Host
  let right: Host
  var network: VirtualNetwork
  private(set) var now = Instant.zero

  init(left: Host, right: Host, network: VirtualNetwork) {
    self.left = left
    self.right = right
    self.network = network
  }

  /// Two full agents with a socket each, `left` controlling.
  convenience init(seed: UInt64, loss: Double = 0, left: ICEConfiguration = .controlling, right: ICEConfiguration = .init()) {
    let network = VirtualNetwork(seed: seed, loss: loss, jitter: .milliseconds(5), reorder: loss / 4, duplicate: loss / 4)
    self.init(left: Host(left, seed: seed), right: Host(right, seed: seed &+ 1000), network: network)
  }

  /// Offer and answer with all candidates: the signalling, which loses nothing.
  func signal(candidates: Bool = true) throws {
    try left.agent.setRemote(right.agent.localCredentials, isLite: right.agent.configuration.isLite, now: now)
    try right.agent.setRemote(left.agent.localCredentials, isLite: left.agent.configuration.isLite, now: now)
    guard candidates else { return }
    try trickle(from: left, to: right)
    try trickle(from: right, to: left)
  }

  /// Candidates as text, as SDP carries them.
  func trickle(from: Host, to: Host) throws {
    for candidate in from.agent.localCandidates { try to.agent.addRemote(ICECandidate(candidate.description), now: now) }
    from.agent.endOfLocalCandidates(now: now)
    to.agent.endOfRemoteCandidates(now: now)
  }

  /// Until the condition holds or the time is over; answers whether it holds.
  @discardableResult func run(for span: TimeSpan, until isDone: (Simulation) -> Bool = { _ in false }) -> Bool {
    let end = now + span
    while true {
      left.drain(into: &network, now: now)
      right.drain(into: &network, now: now)
      if isDone(self) { return true }
      let next = [network.deadline, left.agent.deadline, right.agent.deadline].compactMap(\.self).min() ?? end
      guard next < end else { break }
      now = max(now, next)
      while let datagram = network.receive(now: now) {
        for host in [left, right] { host.receive(datagram, now: now) }
      }
      left.agent.timeout(now: now)
      right.agent.timeout(now: now)
    }
    now = end
    left.agent.timeout(now: now)
    right.agent.timeout(now: now)
    left.drain(into: &network, now: now)
    right.drain(into: &network, now: now)
    return isDone(self)
  }

  /// Both have selected the same path, seen from its two ends, in the present generation.
  var agrees: Bool {
    guard let a = left.agent.selectedPair, let b = right.agent.selectedPair else { return false }
    let isCurrent =
      left.agent.pairs.contains { $0.id == a.id && $0.isSelected } && right.agent.pairs.contains { $0.id == b.id && $0.isSelected }
    guard left.nat == nil, right.nat == nil else { return isCurrent }
    return isCurrent && a.remote == b.base.address && b.remote == a.base.address
  }
}

extension ICEConfiguration {
  static var controlling: ICEConfiguration {
    var configuration = ICEConfiguration()
    configuration.role = .controlling
    return configuration
  }

  static var lite: ICEConfiguration {
    var configuration = ICEConfiguration()
    configuration.isLite = true
    return configuration
  }
}

extension SocketAddress {
  /// For tests, where the text is known to be right.
  static func at(_ text: String) -> SocketAddress { SocketAddress(text) ?? SocketAddress(ip: .anyV4, port: 0) }
}

import MartletICE
import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// RFC 8445: two peers find each other.
@Suite struct ConnectivityTests {
  private func hosts(_ simulation: Simulation) {
    simulation.left.bind(.at("10.0.0.1:1000"))
    simulation.right.bind(.at("10.0.0.2:2000"))
  }

  // RFC 8445 §7, §8.1.1.
  @Test(arguments: seeds(20))
  func `two full agents agree on a pair though one datagram in five is lost`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2)
    hosts(simulation)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    let (left, right) = (simulation.left.agent.state, simulation.right.agent.state)
    #expect([.connected, .completed].contains(left) && [.connected, .completed].contains(right))
  }

  // RFC 8445 §6.1.4.2, §8.1.1: one round trip for a check each way, one for the nomination.
  @Test func `without loss a pair is selected within three round trips, with three messages of ours`() throws {
    let simulation = Simulation(seed: 1)
    hosts(simulation)
    try simulation.signal()
    // The nomination does not wait for the pace of checks.
    #expect(simulation.run(for: .milliseconds(150)) { $0.agrees })
    let pair = simulation.left.agent.pairs[0]
    #expect(pair.counters.requestsSent == 2 && pair.counters.responsesReceived == 2 && pair.counters.retransmissionsSent == 0)
    #expect(pair.counters.requestsReceived == 1 && pair.counters.responsesSent == 1 && pair.isNominated && pair.state == .succeeded)
    #expect(pair.counters.roundTrip >= .milliseconds(40) && pair.counters.roundTrip < .milliseconds(60))
    simulation.run(for: .seconds(1))
    #expect(simulation.left.states == [.checking, .connected, .completed])
    #expect(simulation.right.states == [.checking, .connected, .completed])
  }

  // RFC 8445 §2.5, §6.1.1.
  @Test(arguments: seeds(20))
  func `a full agent controls a lite one, which sends no check`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, left: .init(), right: .lite)
    hosts(simulation)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    let (left, right) = (simulation.left.agent.role, simulation.right.agent.role)
    #expect(left == .controlling && right == .controlled)
    for datagram in simulation.left.received {
      let kind = try ReceivedSTUNMessage(parsing: datagram.bytes.span.bytes).message.kind
      #expect(kind == .success)
    }
  }

  // RFC 8445 §7.3.1.1, §7.2.5.1.
  @Test(arguments: seeds(20), [ICERole.controlling, .controlled])
  func `two agents with the same role settle who controls`(seed: UInt64, role: ICERole) throws {
    var configuration = ICEConfiguration()
    configuration.role = role
    let simulation = Simulation(seed: seed, loss: 0.2, left: configuration, right: configuration)
    hosts(simulation)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    let (left, right) = (simulation.left.agent.role, simulation.right.agent.role)
    #expect(left != right)
  }

  // RFC 8445 §6.1.1: a peer that takes a lite agent for the controlling side is told so.
  @Test func `a lite agent never controls a full one`() throws {
    let simulation = Simulation(seed: 4, left: .init(), right: .lite)
    hosts(simulation)
    try simulation.left.agent.setRemote(simulation.right.agent.localCredentials, now: .zero)
    try simulation.right.agent.setRemote(simulation.left.agent.localCredentials, now: .zero)
    try simulation.trickle(from: simulation.right, to: simulation.left)
    #expect(simulation.run(for: .seconds(5)) { $0.agrees })
    let role = simulation.left.agent.role
    #expect(role == .controlling && simulation.left.events.contains(.roleChanged(.controlling)))
  }

  // RFC 8838 §11: candidates that come late, on one side after the other has given up nothing.
  @Test(arguments: seeds(20))
  func `candidates that trickle in after many seconds are still checked`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.2)
    try simulation.signal(candidates: false)
    simulation.run(for: .seconds(5))
    simulation.left.bind(.at("10.0.0.1:1000"), now: simulation.now)
    try simulation.trickle(from: simulation.left, to: simulation.right)
    simulation.run(for: .seconds(5))
    let state = simulation.right.agent.state
    #expect(state == .checking && !simulation.agrees)
    simulation.right.bind(.at("10.0.0.2:2000"), now: simulation.now)
    try simulation.trickle(from: simulation.right, to: simulation.left)
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
  }

  // RFC 8445 §7.3: checks may come before the peer's answer does.
  @Test func `a check that comes before the peer's credentials is answered, and followed up once they are known`() throws {
    let simulation = Simulation(seed: 5)
    hosts(simulation)
    try simulation.left.agent.setRemote(simulation.right.agent.localCredentials, now: .zero)
    try simulation.trickle(from: simulation.right, to: simulation.left)
    simulation.run(for: .seconds(1))
    let (state, sent) = (simulation.right.agent.state, simulation.right.agent.pairs.map(\.counters.requestsSent))
    #expect(state == .new && sent == [0] && simulation.left.agent.pairs[0].state == .succeeded)
    try simulation.right.agent.setRemote(simulation.left.agent.localCredentials, now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    let remote = simulation.right.agent.remoteCandidates.map(\.type)
    #expect(remote == [.peerReflexive])
  }

  // RFC 8445 §7.3.1.3, §7.2.5.3.1: the mapping that a symmetric NAT makes is in no signalled candidate.
  @Test(arguments: seeds(20), [ICERole.controlling, .controlled])
  func `a peer behind a symmetric NAT is found as peer-reflexive by both sides`(seed: UInt64, role: ICERole) throws {
    var (inside, outside) = (ICEConfiguration(), ICEConfiguration())
    inside.role = role
    outside.role = role == .controlling ? .controlled : .controlling
    let simulation = Simulation(seed: seed, loss: 0.2, left: inside, right: outside)
    hosts(simulation)
    simulation.left.nat = NAT(.v4(0xCB00_7101))
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    let (mine, theirs) = (simulation.left.agent.selectedPair, simulation.right.agent.selectedPair)
    #expect(mine?.localType == .peerReflexive && mine?.remoteType == .host)
    #expect(theirs?.remoteType == .peerReflexive && theirs?.remote.ip == .v4(0xCB00_7101))
  }

  // RFC 8445 §6.1.2.2: only addresses of one family are paired; IPv6 comes first when it is liked more.
  @Test func `IPv4 and IPv6 are checked, and the better pair is nominated`() throws {
    let simulation = Simulation(seed: 6)
    hosts(simulation)
    simulation.left.bind(.at("[2001:db8::1]:1000"), preference: 60_000)
    simulation.right.bind(.at("[2001:db8::2]:2000"), preference: 60_000)
    simulation.left.bind(.at("[fe80::1]:1000"), preference: 1)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(2)) { $0.agrees })
    #expect(simulation.left.agent.selectedPair?.remote == .at("10.0.0.2:2000"))
    #expect(!simulation.left.agent.pairs.contains { $0.local.host == .ip(SocketAddress.at("[fe80::1]:1").ip) })
  }

  // RFC 8839 §5.1 and mDNS candidates of browsers.
  @Test func `a candidate with a name is checked once the driver has resolved it`() throws {
    let simulation = Simulation(seed: 11)
    hosts(simulation)
    try simulation.signal(candidates: false)
    let named = try ICECandidate("candidate:1 1 udp 2130706431 4b3c.local 2000 typ host")
    try simulation.left.agent.addRemote(named, now: .zero)
    #expect(!simulation.run(for: .seconds(1)) { $0.agrees })
    #expect(simulation.left.events.contains(.needsResolution(named)))
    try simulation.left.agent.addRemote(named.resolved(to: SocketAddress.at("10.0.0.2:2000").ip), now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    #expect(simulation.left.agent.remoteCandidates.count == 1)
  }

  // RFC 8445 §8.1.1: a better pair is waited for, but not for ever.
  @Test func `a pair that works is nominated after a while though a better one is still tried`() throws {
    let simulation = Simulation(seed: 7)
    hosts(simulation)
    try simulation.left.agent.addRemote(ICECandidate("candidate:1 1 udp 2147483647 10.9.9.9 9999 typ host"), now: .zero)
    try simulation.signal()
    #expect(!simulation.run(for: .milliseconds(300)) { $0.left.agent.selectedPair != nil })
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    // The one that is not needed is not sent again.
    simulation.run(for: .seconds(20))
    let silent = simulation.left.agent.pairs.filter { $0.remote.port == 9999 }
    #expect(silent.allSatisfy { $0.failure == .timeout && $0.counters.retransmissionsSent <= 2 })
    let state = simulation.left.agent.state
    #expect(state == .completed)
  }

  // RFC 8863 §4.
  @Test func `an agent that reaches nobody fails, but not before a peer could have reached it`() throws {
    let simulation = Simulation(seed: 8)
    hosts(simulation)
    simulation.network.isUp = false
    try simulation.signal()
    simulation.run(for: .milliseconds(39_400))
    let early = simulation.left.agent.state
    #expect(early == .checking)
    simulation.run(for: .seconds(1))
    let late = simulation.left.agent.state
    #expect(late == .failed && simulation.left.agent.pairs[0].failure == .timeout)
    // RFC 8489 §6.2.1: Rc is 7.
    #expect(simulation.left.agent.pairs[0].counters.retransmissionsSent == 6)
    #expect(simulation.left.agent.deadline == nil)
  }

  // RFC 8445 §8.2.1.
  @Test func `two lite agents use no pair, unless told to trust each other`() throws {
    for trusts in [false, true] {
      var (left, right) = (ICEConfiguration.lite, ICEConfiguration.lite)
      left.role = .controlling
      (left.trustsLitePeer, right.trustsLitePeer) = (trusts, trusts)
      let simulation = Simulation(seed: 9, left: left, right: right)
      hosts(simulation)
      try simulation.signal()
      simulation.run(for: .seconds(60))
      let state = simulation.left.agent.state
      #expect(simulation.agrees == trusts && (state == .failed) == !trusts)
      #expect(simulation.network.statistics.sent == 0)
    }
  }

  // RFC 6544 §6: the active side opens the connection, the passive side learns of it by the check.
  @Test func `a TCP pair is checked once the driver has connected it`() throws {
    let simulation = Simulation(seed: 10)
    let active = ICEBase(socket: 0, transport: .tcp, address: .at("10.0.0.1:9"))
    let passive = ICEBase(socket: 0, transport: .tcp, address: .at("10.0.0.2:443"))
    simulation.left.agent.addLocal(.host, active.address, base: active, tcpType: .active, now: .zero)
    simulation.right.agent.addLocal(.host, passive.address, base: passive, tcpType: .passive, now: .zero)
    try simulation.signal()
    simulation.run(for: .seconds(1))
    #expect(simulation.left.events.contains(.needsConnection(active, to: passive.address)) && simulation.network.statistics.sent == 0)
    #expect(simulation.right.agent.pairs.isEmpty)
    // The connection leaves from a port that nobody knew.
    simulation.left.agent.connected(active, to: passive.address, now: simulation.now)
    var now = simulation.now
    for _ in 0..<20 {
      now = now + .milliseconds(50)
      while let transmit = simulation.left.agent.pollTransmit() {
        try simulation.right.agent.receive(transmit.bytes.span.bytes, from: .at("10.0.0.1:50001"), on: passive, now: now)
      }
      while let transmit = simulation.right.agent.pollTransmit() {
        #expect(transmit.to == .at("10.0.0.1:50001") && transmit.base == passive)
        try simulation.left.agent.receive(transmit.bytes.span.bytes, from: passive.address, on: active, now: now)
      }
      simulation.left.agent.timeout(now: now)
      simulation.right.agent.timeout(now: now)
    }
    #expect(simulation.left.agent.selectedPair?.remote == passive.address)
    #expect(simulation.right.agent.selectedPair?.remote == .at("10.0.0.1:50001"))
    simulation.left.agent.unreachable(active, to: passive.address, now: now)
    let state = simulation.left.agent.state
    #expect(state == .disconnected && simulation.left.agent.selectedPair == nil)
  }
}

import MartletICE
import MartletPrimitives
import TestSupport
import Testing

/// What follows when the pair in use is lost and another may work (RFC 8445 §8.1.1 and §12, RFC 7675 §5.1).
@Suite struct SuccessionTests {
  /// Two addresses on each side; the first ones are liked more.
  private func connected(seed: UInt64, loss: Double = 0, left: ICEConfiguration = .controlling, right: ICEConfiguration = .init()) throws
    -> Simulation
  {
    let simulation = Simulation(seed: seed, loss: loss, left: left, right: right)
    simulation.left.bind(.at("10.0.0.1:1000"))
    simulation.left.bind(.at("10.0.1.1:1001"), preference: 1000)
    simulation.right.bind(.at("10.0.0.2:2000"))
    simulation.right.bind(.at("10.0.1.2:2001"), preference: 1000)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    return simulation
  }

  @Test(arguments: seeds(20), [0, 0.2])
  func `a path in use that falls silent is left for one that works`(seed: UInt64, loss: Double) throws {
    let simulation = try connected(seed: seed, loss: loss)
    simulation.run(for: .seconds(20))
    let before = simulation.left.agent.selectedPair
    let dead = try #require(before).base.address
    simulation.network.isCut = { $0.from == dead || $0.to == dead }
    #expect(simulation.run(for: .seconds(40)) { $0.agrees && $0.left.agent.selectedPair?.base.address != dead })
    simulation.run(for: .seconds(120))
    #expect(simulation.agrees && !simulation.left.states.contains(.failed) && !simulation.right.states.contains(.failed))
  }

  // RFC 8445 §7.3.1.5: the controlled side hears checks on the better pair all the time, and yet has to leave it.
  @Test(arguments: seeds(20))
  func `a path that is dead one way is left by both`(seed: UInt64) throws {
    let simulation = try connected(seed: seed)
    let before = simulation.left.agent.selectedPair
    let dead = try #require(before).base.address
    simulation.network.isCut = { $0.to == dead }
    #expect(simulation.run(for: .seconds(60)) { $0.agrees && $0.left.agent.selectedPair?.base.address != dead })
    simulation.run(for: .seconds(60))
    #expect(simulation.agrees && !simulation.left.states.contains(.failed) && !simulation.right.states.contains(.failed))
  }

  // RFC 8445 §8.2.2: a lite agent goes by what it is told last, in the order in which that comes.
  @Test(arguments: seeds(20))
  func `a lite agent follows a full one to another path`(seed: UInt64) throws {
    let simulation = try connected(seed: seed, loss: 0.1, right: .lite)
    simulation.run(for: .seconds(20))
    let before = simulation.left.agent.selectedPair
    let dead = try #require(before).base.address
    simulation.network.isCut = { $0.from == dead || $0.to == dead }
    #expect(simulation.run(for: .seconds(29)) { $0.agrees && $0.left.agent.selectedPair?.base.address != dead })
  }

  @Test(arguments: seeds(20))
  func `where all paths are dead the agent fails within a minute, and sends nothing more`(seed: UInt64) throws {
    let simulation = try connected(seed: seed, loss: 0.2)
    simulation.network.isUp = false
    simulation.run(for: .seconds(60))
    for host in [simulation.left, simulation.right] {
      let (state, deadline) = (host.agent.state, host.agent.deadline)
      #expect(state == .failed && deadline == nil && host.events.contains(.consentLost))
      #expect(host.states.suffix(2) == [.disconnected, .failed])
    }
  }

  // MARK: TCP (RFC 6544)

  /// An active candidate on the left, passive ones on the right.
  private func streams(_ addresses: String...) throws -> (simulation: Simulation, active: ICEBase, passive: [ICEBase]) {
    let simulation = Simulation(seed: 1)
    let active = simulation.left.bind(.active, .at("10.0.0.1:9"))
    let passive = addresses.enumerated().map { place, address in
      simulation.right.bind(.passive, .at(address), preference: 60_000 - UInt16(place))
    }
    try simulation.signal()
    return (simulation, active, passive)
  }

  private func wanted(_ simulation: Simulation) -> [SocketAddress] {
    simulation.left.events.compactMap { if case .needsConnection(_, let remote) = $0 { remote } else { nil } }
  }

  @Test func `a connection that breaks gives way to another at once, without being disconnected`() throws {
    let (simulation, active, passive) = try streams("10.0.0.2:443", "10.0.1.2:444")
    simulation.run(for: .milliseconds(200))
    #expect(wanted(simulation) == passive.map(\.address))
    // The better one takes longer, so that both have worked.
    simulation.left.agent.connected(active, to: passive[1].address, now: simulation.now)
    simulation.run(for: .milliseconds(100))
    simulation.left.agent.connected(active, to: passive[0].address, now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees } && simulation.left.agent.selectedPair?.remote == passive[0].address)
    simulation.run(for: .seconds(1))
    simulation.left.agent.unreachable(active, to: passive[0].address, now: simulation.now)
    simulation.right.agent.unreachable(passive[0], to: active.address, now: simulation.now)
    #expect(simulation.left.agent.selectedPair == nil)
    #expect(simulation.left.agent.pairs.first { $0.remote.port == 443 }?.failure == .unreachable)
    // A round trip for the nomination.
    #expect(simulation.run(for: .milliseconds(100)) { $0.agrees } && simulation.left.agent.selectedPair?.remote == passive[1].address)
    #expect(!simulation.left.states.contains(.disconnected) && !simulation.right.states.contains(.disconnected))
  }

  @Test func `the only connection is made again when it breaks`() throws {
    let (simulation, active, passive) = try streams("10.0.0.2:443")
    simulation.run(for: .milliseconds(100))
    simulation.left.agent.connected(active, to: passive[0].address, now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    simulation.left.agent.unreachable(active, to: passive[0].address, now: simulation.now)
    simulation.right.agent.unreachable(passive[0], to: active.address, now: simulation.now)
    simulation.run(for: .milliseconds(100))
    #expect(wanted(simulation).count == 2 && simulation.left.states.last == .disconnected && simulation.right.states.last == .disconnected)
    simulation.left.agent.connected(active, to: passive[0].address, now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    simulation.run(for: .seconds(1))
    #expect(simulation.left.states.suffix(3) == [.disconnected, .connected, .completed])
  }

  @Test func `without any connection the agent is disconnected, and failed when consent would have ended`() throws {
    let (simulation, active, passive) = try streams("10.0.0.2:443")
    simulation.run(for: .milliseconds(100))
    simulation.left.agent.connected(active, to: passive[0].address, now: simulation.now)
    #expect(simulation.run(for: .seconds(1)) { $0.agrees })
    simulation.network.isUp = false
    simulation.left.agent.unreachable(active, to: passive[0].address, now: simulation.now)
    simulation.run(for: .milliseconds(100))
    simulation.left.agent.unreachable(active, to: passive[0].address, now: simulation.now)
    simulation.run(for: .seconds(20))
    let early = simulation.left.agent.state
    #expect(early == .disconnected && wanted(simulation).count == 2)
    simulation.run(for: .seconds(10))
    let (late, deadline) = (simulation.left.agent.state, simulation.left.agent.deadline)
    #expect(late == .failed && deadline == nil)
  }
}

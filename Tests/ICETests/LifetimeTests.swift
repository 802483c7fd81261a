import MartletICE
import MartletPrimitives
import MartletSTUN
import TestSupport
import Testing

/// What becomes of a pair that works: consent (RFC 7675), silence, restart (RFC 8445 §9).
@Suite struct LifetimeTests {
  private func connected(seed: UInt64, loss: Double = 0, left: ICEConfiguration = .controlling, right: ICEConfiguration = .init()) throws
    -> Simulation
  {
    let simulation = Simulation(seed: seed, loss: loss, left: left, right: right)
    simulation.left.bind(.at("10.0.0.1:1000"))
    simulation.right.bind(.at("10.0.0.2:2000"))
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    return simulation
  }

  // RFC 7675 §5.1: a check that is lost is followed by another after a second, or an hour of this would end most sessions.
  @Test(arguments: seeds(20))
  func `consent survives an hour of loss`(seed: UInt64) throws {
    let simulation = try connected(seed: seed, loss: 0.2)
    simulation.run(for: .seconds(3600))
    #expect(simulation.agrees && !simulation.left.events.contains(.consentLost) && !simulation.right.events.contains(.consentLost))
    let sent = simulation.left.agent.pairs[0].counters.consentRequestsSent
    #expect((800...1400).contains(sent))
  }

  // RFC 7675 §5.1.
  @Test(arguments: seeds(20), [false, true])
  func `a peer that is gone is noticed after seconds, and sent nothing more after thirty`(seed: UInt64, isLite: Bool) throws {
    let simulation = try connected(seed: seed, right: isLite ? .lite : .init())
    simulation.run(for: .seconds(20))
    simulation.network.isUp = false
    simulation.run(for: .seconds(14))
    for host in [simulation.left, simulation.right] {
      let (state, pair) = (host.agent.state, host.agent.selectedPair)
      #expect(state == .disconnected && pair != nil)
    }
    simulation.run(for: .seconds(17))
    let sent = simulation.network.statistics.sent
    for host in [simulation.left, simulation.right] {
      let (state, pair, deadline) = (host.agent.state, host.agent.selectedPair, host.agent.deadline)
      #expect(state == .failed && pair == nil && deadline == nil && host.events.suffix(2).contains(.consentLost))
      #expect(host.states.suffix(2) == [.disconnected, .failed])
    }
    simulation.run(for: .seconds(60))
    #expect(simulation.network.statistics.sent == sent)
  }

  @Test func `a path that comes back in time is connected again`() throws {
    let simulation = try connected(seed: 1)
    simulation.run(for: .seconds(20))
    simulation.network.isUp = false
    simulation.run(for: .seconds(15))
    simulation.network.isUp = true
    simulation.run(for: .seconds(10))
    for host in [simulation.left, simulation.right] { #expect(host.states.suffix(2) == [.disconnected, .completed]) }
  }

  // An allocation at a relay ends, or an interface goes.
  @Test(arguments: [false, true])
  func `a base that is gone takes its pairs along, and another takes over`(isInUse: Bool) throws {
    let simulation = try connected(seed: 7)
    let first = simulation.left.bases[0]
    let second = simulation.left.bind(.at("10.0.0.3:3000"), now: simulation.now)
    let gone = isInUse ? first : second
    simulation.left.agent.removeLocal(gone, now: simulation.now)
    simulation.run(for: .milliseconds(1))
    let (state, pair) = (simulation.left.agent.state, simulation.left.agent.selectedPair)
    #expect(isInUse ? state == .disconnected && pair == nil : pair?.base == first)
    #expect(!simulation.left.agent.localCandidates.contains { $0.address == gone.address })
    // The other side takes it for a lesser choice until the better one has not been named for a while.
    #expect(simulation.run(for: .seconds(10)) { $0.agrees })
    #expect(!simulation.left.states.contains(.failed))
    simulation.left.agent.restart(now: simulation.now)
    simulation.right.agent.restart(now: simulation.now)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(5)) { $0.agrees })
    let other = isInUse ? second : first
    #expect(simulation.left.agent.selectedPair?.base == other)
  }

  @Test func `an ICMP error fails a pair that is tried, and none that is in use`() throws {
    let simulation = try connected(seed: 6)
    let base = simulation.left.bases[0]
    simulation.left.agent.unreachable(base, to: .at("10.0.0.2:2000"), now: simulation.now)
    #expect(simulation.agrees && simulation.left.agent.pairs[0].state == .succeeded)
    let trying = Simulation(seed: 6)
    trying.left.bind(.at("10.0.0.1:1000"))
    trying.right.bind(.at("10.0.0.2:2000"))
    trying.network.isUp = false
    try trying.signal()
    trying.left.agent.unreachable(trying.left.bases[0], to: .at("10.0.0.2:2000"), now: .zero)
    #expect(trying.left.agent.pairs[0].failure == .unreachable)
    // Failed or not, the peer may still reach us.
    trying.network.isUp = true
    #expect(trying.run(for: .seconds(5)) { $0.agrees })
  }

  // Data is liveness, not consent.
  @Test func `data from the peer keeps a pair connected, but not beyond the end of consent`() throws {
    let simulation = try connected(seed: 2, right: .lite)
    simulation.run(for: .seconds(10))
    simulation.network.isUp = false
    let selected = simulation.right.agent.selectedPair
    let pair = try #require(selected)
    for _ in 0..<28 {
      simulation.run(for: .seconds(1))
      simulation.right.agent.noteReceived(on: pair.base, from: pair.remote, now: simulation.now)
      simulation.right.agent.noteReceived(on: pair.base, from: .at("192.0.2.9:9"), now: simulation.now)
    }
    let during = simulation.right.states
    #expect(!during.contains(.disconnected))
    for _ in 0..<5 {
      simulation.run(for: .seconds(1))
      simulation.right.agent.noteReceived(on: pair.base, from: pair.remote, now: simulation.now)
    }
    let state = simulation.right.agent.state
    #expect(state == .failed)
  }

  // RFC 8445 §9.
  @Test(arguments: seeds(20), [false, true])
  func `a restart keeps the old pair until a new one is selected`(seed: UInt64, isLite: Bool) throws {
    let simulation = try connected(seed: seed, loss: 0.2, right: isLite ? .lite : .init())
    let before = (simulation.left.agent.selectedPair, simulation.left.agent.localCredentials)
    let (left, right) = (simulation.left.agent.restart(now: simulation.now), simulation.right.agent.restart(now: simulation.now))
    #expect(left != before.1 && left != right)
    // The signalling takes its time: consent goes on by the old credentials.
    simulation.run(for: .seconds(60))
    #expect(simulation.left.agent.selectedPair == before.0 && !simulation.left.events.contains(.consentLost))
    #expect(!simulation.right.events.contains(.consentLost) && !simulation.agrees)
    simulation.left.bind(.at("10.0.0.1:1001"), now: simulation.now)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(30)) { $0.agrees })
    #expect(simulation.left.agent.selectedPair?.id != before.0?.id)
  }

  @Test func `a restart brings a failed agent back`() throws {
    let simulation = try connected(seed: 3)
    simulation.network.isUp = false
    simulation.run(for: .seconds(40))
    simulation.network.isUp = true
    for host in [simulation.left, simulation.right] { host.agent.restart(now: simulation.now) }
    let state = simulation.left.agent.state
    #expect(state == .new)
    try simulation.signal()
    #expect(simulation.run(for: .seconds(5)) { $0.agrees })
    #expect(simulation.left.states.suffix(5) == [.failed, .new, .checking, .connected, .completed])
  }

  @Test func `other credentials without a restart are refused`() throws {
    let simulation = try connected(seed: 4)
    let other = ICECredentials(fragment: "abcd", password: "0123456789012345678901")
    #expect(throws: ICEError.restartNeeded) { try simulation.left.agent.setRemote(other, now: simulation.now) }
    try simulation.left.agent.setRemote(simulation.right.agent.localCredentials, now: simulation.now)
  }

  // A NAT that forgets its mappings, or a phone that changes networks and keeps its address inside.
  @Test(arguments: seeds(20))
  func `a lite agent follows a peer whose NAT gives it another port`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, left: .controlling, right: .lite)
    simulation.left.bind(.at("10.0.0.1:1000"))
    simulation.right.bind(.at("10.0.0.2:2000"))
    let nat = NAT(.v4(0xCB00_7101))
    simulation.left.nat = nat
    try simulation.signal()
    #expect(simulation.run(for: .seconds(10)) { $0.agrees })
    let first = simulation.right.agent.selectedPair
    nat.forget()
    // A browser goes on checking with USE-CANDIDATE; our own agent would ask for a restart.
    let remote = simulation.right.agent.localCredentials
    let local = simulation.left.agent.localCredentials
    let check = STUNMessage(
      .request, .binding, TransactionID(high: 1, low: seed),
      [.username("\(remote.fragment):\(local.fragment)"), .priority(1), .iceControlling(tieBreaker: 1), .useCandidate])
    let outside = SocketAddress(ip: .v4(0xCB00_7101), port: 60_000)
    let base = simulation.right.bases[0]
    let bytes = check.encoded(key: .shortTerm(password: remote.password))
    try simulation.right.agent.receive(bytes.span.bytes, from: outside, on: base, now: simulation.now)
    let second = simulation.right.agent.selectedPair
    #expect(first?.remote != second?.remote && second?.remote == outside)
  }

  @Test func `nothing happens after close`() throws {
    let simulation = try connected(seed: 5)
    simulation.left.agent.close(now: simulation.now)
    simulation.run(for: .seconds(1))
    let (state, pair, deadline) = (simulation.left.agent.state, simulation.left.agent.selectedPair, simulation.left.agent.deadline)
    #expect(state == .closed && pair == nil && deadline == nil && simulation.left.states.last == .closed)
    let base = simulation.left.bases[0]
    #expect(throws: ICEError.closed) {
      try simulation.left.agent.receive([UInt8]().span.bytes, from: .at("10.0.0.2:2000"), on: base, now: simulation.now)
    }
  }

  @Test func `what an idle lite agent holds itself is small`() {
    #expect(MemoryLayout<ICEAgent>.size <= 1024)
  }
}

import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// How an association lives and ends (RFC 9260 §8, §9), and what holds it up (§6.1).
@Suite struct LifetimeTests {
  // RFC 9260 §9.2.
  @Test(arguments: seeds(20), [false, true])
  func `a shutdown lets everything arrive, and both ends end`(seed: UInt64, both: Bool) throws {
    let simulation = Simulation(seed: seed, loss: 0.2, duplicate: 0.1)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(30)) { $0.left.events.contains(.open(id)) })
    for number in 0..<30 { try simulation.left.session.send(.binary, pattern(2000, number), on: id, now: simulation.now) }
    simulation.left.session.shutdown(now: simulation.now)
    if both { simulation.right.session.shutdown(now: simulation.now) }
    #expect(throws: DataChannelError.transport(.closed)) { try simulation.left.session.send(.text, [1], on: id, now: simulation.now) }
    #expect(simulation.run(for: .seconds(120)) { $0.left.endReason != nil && $0.right.endReason != nil })
    #expect(simulation.left.endReason == .shutdown && simulation.right.endReason == .shutdown)
    #expect(simulation.right.messageCount == 30 && simulation.left.events.contains(.closed(id)))
    #expect(simulation.left.session.deadline == nil)
  }

  // RFC 9260 §9.1.
  @Test func `an abort ends both ends at once`() throws {
    let simulation = Simulation(seed: 1)
    #expect(simulation.connect())
    simulation.left.session.abort()
    simulation.run(for: .seconds(1))
    #expect(simulation.left.endReason == .aborted)
    #expect(simulation.right.endReason == .abortedByPeer(code: 12, reason: ""))
  }

  // RFC 9260 §8.1, §8.3.
  @Test func `a peer that is gone is noticed, with data under way and without`() throws {
    for sends in [true, false] {
      let simulation = Simulation(seed: 2)
      let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
      #expect(simulation.connect())
      simulation.run(for: .seconds(1))
      simulation.network.isUp = false
      if sends { try simulation.left.session.send(.text, [1], on: id, now: simulation.now) }
      #expect(simulation.run(for: .seconds(180)) { $0.left.endReason != nil })
      #expect(simulation.left.endReason == .unreachable)
    }
  }

  @Test func `nobody answers the handshake`() {
    let simulation = Simulation(seed: 3)
    simulation.network.isUp = false
    simulation.left.session.start(now: .zero)
    #expect(simulation.run(for: .seconds(120)) { $0.left.endReason != nil })
    #expect(simulation.left.endReason == .handshakeTimeout && simulation.left.statistics.packetsSent == 9)
  }

  // RFC 9260 §8.3.
  @Test func `an idle association sends a heartbeat in thirty seconds, and measures the round trip`() {
    let simulation = Simulation(seed: 4)
    #expect(simulation.connect())
    simulation.run(for: .seconds(1))
    let (left, right) = (simulation.left.statistics.packetsSent, simulation.right.statistics.packetsSent)
    simulation.run(for: .seconds(300))
    #expect((18...24).contains(simulation.left.statistics.packetsSent - left))
    #expect((18...24).contains(simulation.right.statistics.packetsSent - right))
    #expect(simulation.left.statistics.roundTrip == .milliseconds(40) && simulation.left.state == .established)
  }

  // RFC 9260 §6.1 A: a window that is shut is probed, for as long as the peer answers.
  @Test(arguments: seeds(20)) func `a peer that takes nothing holds the sender up, and lets it go on`(seed: UInt64) throws {
    var narrow = SCTPConfiguration()
    narrow.receiveBuffer = 20000
    let simulation = Simulation(seed: seed, loss: 0.1, right: narrow)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(10)) { $0.left.events.contains(.open(id)) })
    simulation.right.polls = false
    for number in 0..<100 { try simulation.left.session.send(.binary, pattern(3000, number), on: id, now: simulation.now) }
    simulation.run(for: .seconds(200))
    #expect(simulation.left.state == .established && simulation.right.messageCount == 0)
    #expect(simulation.right.statistics.bytesHeld < 2 * 20000 + 2048)
    simulation.right.polls = true
    #expect(simulation.run(for: .seconds(60)) { $0.right.messageCount == 100 })
    #expect(simulation.right.messages[id] == (0..<100).map { pattern(3000, $0) })
  }

  // RFC 9260 §6.2: SACKs travel with data, else for every second packet or after a while.
  @Test func `a message alone is acknowledged within the delay, and once`() throws {
    let simulation = Simulation(seed: 5)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect())
    simulation.run(for: .seconds(1))
    let sent = simulation.right.statistics.packetsSent
    try simulation.left.session.send(.text, [1], on: id, now: simulation.now)
    simulation.run(for: .milliseconds(110))
    #expect(simulation.left.statistics.bytesInFlight > 0)
    simulation.run(for: .milliseconds(60))
    #expect(simulation.left.statistics.bytesInFlight == 0 && simulation.right.statistics.packetsSent == sent + 1)
  }

  // The default of `packetBytes`.
  @Test func `a message of 1150 bytes travels in one packet, and small ones share one`() throws {
    let simulation = Simulation(seed: 6)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect())
    simulation.run(for: .seconds(1))
    var sizes: [Int] = []
    simulation.filter = {
      if $0.from == simulation.left.address { sizes.append($0.bytes.count) }
      return true
    }
    try simulation.left.session.send(.binary, pattern(1150, 1), on: id, now: simulation.now)
    for _ in 0..<10 { try simulation.left.session.send(.binary, pattern(50, 1), on: id, now: simulation.now) }
    simulation.run(for: .milliseconds(1))
    #expect(sizes == [1184, 12 + 10 * (20 + 52)])
  }

  @Test func `a message that fits into a packet is not cut for what travels with it`() throws {
    let simulation = Simulation(seed: 7, jitter: .milliseconds(10))
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect())
    simulation.run(for: .seconds(1))
    var cut = 0
    simulation.filter = {
      cut += Self.fragments($0.bytes)
      return true
    }
    for number in 0..<100 {
      for peer in [simulation.left, simulation.right] {
        try peer.session.send(.binary, pattern(1150, number), on: id, now: simulation.now)
      }
      simulation.run(for: .milliseconds(7))
    }
    simulation.run(for: .seconds(2))
    #expect(simulation.left.messageCount == 100 && simulation.right.messageCount == 100)
    #expect(cut == 0)
  }

  /// Chunks of data in a packet that are not whole messages.
  private static func fragments(_ packet: [UInt8]) -> Int {
    var reader = ByteReader(packet.span.bytes)
    var count = 0
    guard (try? PacketHeader(parsing: &reader)) != nil else { return 0 }
    while let chunk = try? ChunkHeader(parsing: &reader), (try? reader.skip(min(chunk.bodyBytes + chunk.padding, reader.remaining))) != nil
    {
      if chunk.type == ChunkType.interleavedData, chunk.flags & 3 != 3 { count += 1 }
    }
    return count
  }

  @Test func `an idle session is small`() {
    #expect(MemoryLayout<DataChannelSession>.size < 2048)
  }
}

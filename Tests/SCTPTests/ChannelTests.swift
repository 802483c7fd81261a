import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// RFC 8831, RFC 8832.
@Suite struct ChannelTests {
  // RFC 8832 §6.
  @Test func `each side takes its own numbers, and both see the same options`() throws {
    let simulation = Simulation(seed: 1)
    var options = DataChannelOptions(label: "a", protocolName: "p")
    options.isOrdered = false
    options.maximumRetransmissions = 3
    options.priority = 512
    #expect(try simulation.left.session.open(options, now: .zero) == 0)
    #expect(try simulation.right.session.open(DataChannelOptions(label: "b"), now: .zero) == 1)
    #expect(try simulation.left.session.open(DataChannelOptions(label: ""), now: .zero) == 2)
    #expect(simulation.connect())
    simulation.run(for: .seconds(1))
    #expect(simulation.right.events.contains(.opened(0, options)) && simulation.right.events.contains(.open(1)))
    #expect(simulation.left.events.contains(.opened(1, DataChannelOptions(label: "b"))) && simulation.left.events.contains(.open(2)))
  }

  // RFC 8831 §6.6, RFC 8832 §6.
  @Test func `messages may follow OPEN at once, empty ones too, and the kind arrives`() throws {
    let simulation = Simulation(seed: 2, loss: 0.3, reorder: 0.3)
    var options = DataChannelOptions(label: "early")
    options.isOrdered = false
    let id = try simulation.left.session.open(options, now: .zero)
    let messages: [(DataChannelKind, Slice)] = [(.text, [104, 105]), (.binary, [0]), (.text, []), (.binary, [])]
    for (kind, payload) in messages { try simulation.left.session.send(kind, payload, on: id, now: .zero) }
    #expect(simulation.connect() && simulation.run(for: .seconds(30)) { $0.right.messageCount == 4 })
    #expect(simulation.right.events == [.connected, .opened(id, options)] + messages.map { .message(id, $0, $1) })
  }

  @Test func `the peer of a channel may answer at once`() throws {
    let simulation = Simulation(seed: 3)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(5)) { $0.right.hasChannel(id) })
    #expect(try simulation.right.session.send(.text, [1], on: id, now: simulation.now))
    #expect(simulation.run(for: .seconds(1)) { $0.left.messageCount == 1 })
  }

  // RFC 8831 §6.5.
  @Test func `a negotiated channel needs no OPEN`() throws {
    let simulation = Simulation(seed: 4)
    var options = DataChannelOptions(label: "agreed")
    options.negotiatedID = 7
    #expect(try simulation.left.session.open(options, now: .zero) == 7)
    #expect(throws: DataChannelError.idInUse(7)) { try simulation.left.session.open(options, now: .zero) }
    #expect(simulation.connect())
    #expect(try simulation.right.session.open(options, now: simulation.now) == 7)
    try simulation.left.session.send(.text, [1], on: 7, now: simulation.now)
    simulation.run(for: .seconds(1))
    #expect(simulation.left.events == [.connected, .open(7)])
    #expect(simulation.right.events == [.connected, .open(7), .message(7, .text, [1])])
  }

  // RFC 8831 §6.7, RFC 6525 §5.
  @Test(arguments: seeds(20))
  func `what was sent arrives before a channel closes on both sides, and its number is used again`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.15, reorder: 0.1, duplicate: 0.1)
    #expect(simulation.connect())
    for round in 1...3 {
      let id = try simulation.left.session.open(DataChannelOptions(label: "\(round)"), now: simulation.now)
      #expect(id == 0)
      for number in 0..<20 { try simulation.left.session.send(.binary, pattern(3000, number), on: id, now: simulation.now) }
      simulation.left.session.close(id)
      #expect(throws: DataChannelError.notOpen(id)) { try simulation.left.session.send(.text, [1], on: id, now: simulation.now) }
      #expect(simulation.run(for: .seconds(120)) { !$0.left.hasChannel(id) && !$0.right.hasChannel(id) })
      #expect(simulation.right.messageCount == 20 * round)
      #expect(simulation.left.count { $0 == .closed(id) } == round && simulation.right.count { $0 == .closed(id) } == round)
    }
    #expect(simulation.left.state == .established)
  }

  @Test(arguments: seeds(20)) func `both sides may close many channels at once`(seed: UInt64) throws {
    let simulation = Simulation(seed: seed, loss: 0.15)
    let ids = try (0..<40).map { try simulation.left.session.open(DataChannelOptions(label: "\($0)"), now: .zero) }
    #expect(simulation.connect() && simulation.run(for: .seconds(30)) { $0.right.session.channelCount == 40 })
    for id in ids {
      if id % 4 != 0 { simulation.left.session.close(id) }
      if id % 6 != 0 || id % 4 == 0 { simulation.right.session.close(id) }
    }
    #expect(simulation.run(for: .seconds(120)) { $0.left.session.channelCount == 0 && $0.right.session.channelCount == 0 })
    #expect(try simulation.left.session.open(DataChannelOptions(label: "again"), now: simulation.now) == 0)
    #expect(simulation.run(for: .seconds(30)) { $0.left.events.last == .open(0) })
  }

  @Test func `without resets a channel just ends, and its number is not used again`() throws {
    var configuration = SCTPConfiguration()
    configuration.extensions = []
    let simulation = Simulation(seed: 5, left: configuration)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    simulation.left.session.close(id)
    #expect(simulation.connect())
    #expect(simulation.left.events.contains(.closed(id)))
    #expect(try simulation.left.session.open(DataChannelOptions(label: "y"), now: simulation.now) == 2)
    simulation.left.session.close(2)
    simulation.run(for: .seconds(1))
    #expect(simulation.left.events.last == .closed(2))
  }

  @Test func `the buffered amount falls to its threshold once`() throws {
    let simulation = Simulation(seed: 6)
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(1)) { $0.left.events.contains(.open(id)) })
    simulation.left.session.setLowThreshold(10000, of: id)
    var limits = simulation.left.session.limits
    limits.highWater = 50000
    simulation.left.session.limits = limits
    for _ in 0..<3 { #expect(try simulation.left.session.send(.binary, pattern(15000, 1), on: id, now: simulation.now)) }
    #expect(try !simulation.left.session.send(.binary, pattern(15000, 1), on: id, now: simulation.now))
    #expect(simulation.left.bufferedAmount(of: id) == 60000)
    simulation.run(for: .seconds(2))
    #expect(simulation.left.bufferedAmount(of: id) == 0)
    #expect(simulation.left.count { $0 == .bufferedAmountLow(id) } == 1)
  }

  // RFC 8831 §6.4.
  @Test(arguments: [true, false]) func `priorities share the path by weight`(interleaves: Bool) throws {
    let configuration = interleaves ? SCTPConfiguration() : TransferTests.plain
    let simulation = Simulation(seed: 7, left: configuration, right: configuration)
    simulation.bottleneck = Bottleneck(bytesPerSecond: 125_000, queueBytes: 20000)
    let ids = try [128, 256, 512].map { (priority: UInt16) in
      var options = DataChannelOptions(label: "\(priority)")
      options.priority = priority
      return try simulation.left.session.open(options, now: .zero)
    }
    #expect(simulation.connect())
    for number in 0..<200 {
      for id in ids { try simulation.left.session.send(.binary, pattern(4000, number), on: id, now: simulation.now) }
    }
    simulation.run(for: .seconds(8))
    let counts = ids.map { Double(simulation.right.messages[$0]?.count ?? 0) }
    #expect(counts[0] > 10 && abs(counts[1] / counts[0] - 2) < 0.4 && abs(counts[2] / counts[0] - 4) < 0.8)
  }

  // RFC 8260 §1: a large message holds up a small one where messages cannot be interleaved.
  @Test func `a small message overtakes a large one where both ends interleave`() throws {
    func wait(_ configuration: SCTPConfiguration) throws -> TimeSpan {
      let simulation = Simulation(seed: 8, left: configuration, right: configuration)
      simulation.bottleneck = Bottleneck(bytesPerSecond: 125_000, queueBytes: 20000)
      let (large, small) = (
        try simulation.left.session.open(DataChannelOptions(label: "large"), now: .zero),
        try simulation.left.session.open(DataChannelOptions(label: "small"), now: .zero)
      )
      #expect(simulation.connect())
      for _ in 0..<4 { try simulation.left.session.send(.binary, pattern(65536, 1), on: large, now: simulation.now) }
      simulation.run(for: .milliseconds(300))
      let start = simulation.now
      try simulation.left.session.send(.binary, pattern(10, 1), on: small, now: start)
      #expect(simulation.run(for: .seconds(10)) { $0.right.messages[small] != nil })
      return simulation.now - start
    }
    let (apart, together) = (try wait(TransferTests.plain), try wait(.init()))
    #expect(together < .milliseconds(300) && apart > together + .milliseconds(100))
  }

  @Test func `what cannot be is refused with a reason`() throws {
    var limits = DataChannelLimits()
    limits.channels = 2
    let simulation = Simulation(seed: 9, limits: limits)
    var options = DataChannelOptions(label: "x")
    options.lifetime = .seconds(1)
    options.maximumRetransmissions = 1
    #expect(throws: DataChannelError.contradictoryReliability) { try simulation.left.session.open(options, now: .zero) }
    let long = DataChannelOptions(label: String(repeating: "ü", count: 513))
    #expect(throws: DataChannelError.tooLong("a label", bytes: 1026, maximum: 1024)) { try simulation.left.session.open(long, now: .zero) }
    var outside = DataChannelOptions(label: "x")
    outside.negotiatedID = 65535
    #expect(throws: DataChannelError.invalidID(65535)) { try simulation.left.session.open(outside, now: .zero) }
    let id = try simulation.left.session.open(DataChannelOptions(label: "x"), now: .zero)
    _ = try simulation.left.session.open(DataChannelOptions(label: "y"), now: .zero)
    #expect(throws: DataChannelError.tooManyChannels(maximum: 2)) {
      try simulation.left.session.open(DataChannelOptions(label: "z"), now: .zero)
    }
    #expect(throws: DataChannelError.transport(.messageTooLarge(bytes: 65537, maximum: 65536))) {
      try simulation.left.session.send(.binary, pattern(65537, 1), on: id, now: .zero)
    }
    #expect(throws: DataChannelError.notOpen(9)) { try simulation.left.session.send(.binary, [1], on: 9, now: .zero) }
    for _ in 0..<255 { try simulation.left.session.send(.binary, pattern(65536, 1), on: id, now: .zero) }
    #expect(throws: DataChannelError.transport(.bufferFull(maximum: 16 << 20))) {
      try simulation.left.session.send(.binary, pattern(65536, 1), on: id, now: .zero)
    }
  }

  @Test func `channels of the peer beyond the limit are refused, and the rest works`() throws {
    let simulation = Simulation(seed: 10)
    var limits = simulation.right.session.limits
    limits.channels = 3
    simulation.right.session.limits = limits
    let ids = try (0..<5).map { try simulation.left.session.open(DataChannelOptions(label: "\($0)"), now: .zero) }
    #expect(simulation.connect())
    simulation.run(for: .seconds(5))
    #expect(simulation.right.session.channelCount == 3 && simulation.left.session.channelCount == 3)
    #expect(simulation.left.events.filter { $0 == .closed(ids[3]) || $0 == .closed(ids[4]) }.count == 2)
  }
}

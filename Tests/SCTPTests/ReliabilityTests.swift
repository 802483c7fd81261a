import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// RFC 3758, RFC 8260 §2.3.
@Suite struct ReliabilityTests {
  private func configuration(_ interleaves: Bool) -> SCTPConfiguration { interleaves ? .init() : TransferTests.plain }

  private func isSubsequence(_ part: [Slice], of whole: [Slice]) -> Bool {
    var rest = whole[...]
    for message in part {
      guard let place = rest.firstIndex(of: message) else { return false }
      rest = rest[(place + 1)...]
    }
    return true
  }

  @Test(arguments: seeds(20), [true, false])
  func `messages that may not be sent again are given up, and hold up nothing`(seed: UInt64, interleaves: Bool) throws {
    let simulation = Simulation(seed: seed, loss: 0, left: configuration(interleaves), right: configuration(interleaves))
    var options = DataChannelOptions(label: "lossy")
    options.maximumRetransmissions = 0
    let lossy = try simulation.left.session.open(options, now: .zero)
    let sure = try simulation.left.session.open(DataChannelOptions(label: "sure"), now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(5)) { $0.left.events.contains(.open(sure)) })
    simulation.network.loss = 0.1
    simulation.network.reorder = 0.02
    var sent: [Slice] = []
    for number in 0..<100 {
      sent.append(pattern(number % 5 == 0 ? 20000 : 500, number))
      try simulation.left.session.send(.binary, sent[number], on: lossy, now: simulation.now)
      try simulation.left.session.send(.binary, pattern(100, number), on: sure, now: simulation.now)
      simulation.run(for: .milliseconds(10))
    }
    simulation.network.loss = 0
    try simulation.left.session.send(.binary, pattern(77, 0), on: lossy, now: simulation.now)
    #expect(simulation.run(for: .seconds(60)) { $0.right.messages[lossy]?.last?.count == 77 })
    simulation.run(for: .seconds(5))
    let arrived = simulation.right.messages[lossy] ?? []
    #expect(arrived.count > 30 && arrived.count < 101 && isSubsequence(arrived, of: sent + [pattern(77, 0)]))
    #expect(simulation.right.messages[sure]?.count == 100)
    let statistics = simulation.left.statistics
    // One that was given up may have been on its way still.
    #expect(statistics.messagesAbandoned >= 101 - arrived.count && statistics.bytesInFlight == 0)
    #expect(simulation.right.statistics.bytesHeld == 0)
  }

  // RFC 3758 §4.1.
  @Test(arguments: [true, false]) func `a message that has expired before it could go is not sent`(interleaves: Bool) throws {
    let simulation = Simulation(seed: 1, left: configuration(interleaves), right: configuration(interleaves))
    var options = DataChannelOptions(label: "short-lived")
    options.lifetime = .milliseconds(100)
    let id = try simulation.left.session.open(options, now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(1)) { $0.left.events.contains(.open(id)) })
    simulation.network.isUp = false
    for number in 0..<50 { try simulation.left.session.send(.binary, pattern(1000, number), on: id, now: simulation.now) }
    simulation.run(for: .milliseconds(150))
    simulation.network.isUp = true
    simulation.run(for: .seconds(2))
    try simulation.left.session.send(.text, pattern(5, 5), on: id, now: simulation.now)
    #expect(simulation.run(for: .seconds(10)) { $0.right.messages[id]?.last?.count == 5 })
    #expect(simulation.right.messages[id]?.count == 1 && simulation.left.statistics.messagesAbandoned == 50)
  }

  // RFC 8260 §2.3.1: unordered messages are skipped too.
  @Test(arguments: seeds(20), [true, false])
  func `unordered messages come as they arrive, whole and once`(seed: UInt64, interleaves: Bool) throws {
    let simulation = Simulation(
      seed: seed, loss: 0.1, reorder: 0.2, duplicate: 0.1, left: configuration(interleaves), right: configuration(interleaves))
    var options = DataChannelOptions(label: "unordered")
    options.isOrdered = false
    options.maximumRetransmissions = seed % 2 == 0 ? nil : 1
    let id = try simulation.left.session.open(options, now: .zero)
    #expect(simulation.connect() && simulation.run(for: .seconds(10)) { $0.left.events.contains(.open(id)) })
    let sent = (0..<60).map { pattern($0 % 3 == 0 ? 9000 : 300 + $0, $0) }
    for message in sent { try simulation.left.session.send(.binary, message, on: id, now: simulation.now) }
    simulation.run(for: .seconds(60))
    let arrived = simulation.right.messages[id] ?? []
    #expect(arrived.allSatisfy { sent.contains($0) } && arrived.count >= 60 - simulation.left.statistics.messagesAbandoned)
    #expect(options.maximumRetransmissions != nil || arrived.count == 60)
    #expect(arrived != sent && simulation.right.statistics.bytesHeld == 0)
  }
}

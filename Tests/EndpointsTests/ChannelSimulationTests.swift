import MartletClient
import MartletIO
import MartletMessages
import MartletPrimitives
import TestSupport
import Testing

/// The client's machine against the server's hub and formats, over pipes that lose, reorder and break, in virtual time.
@Suite(.timeLimit(.minutes(5))) struct ChannelSimulationTests {
  struct Outcome: Sendable {
    var log: [String] = []
    var heard: [[String]] = []
    var interruptions: [String] = []
    var answered = 0
    var losses = 0
    var faults: [String] = []
  }

  /// Runs `body` with a hub of its own, on a loop's thread.
  private func simulate(
    seed: UInt64, _ configure: (inout ChannelConfiguration) -> Void = { _ in },
    _ body: @escaping @Sendable (ChannelSimulation, inout Outcome) throws -> Void
  ) async throws -> Outcome {
    let loop = EventLoop(index: 0)
    let worker = Worker(loop, log: .silent) { _ in }
    defer {
      loop.post { $0.stop() }
      worker.join()
    }
    var configuration = ChannelConfiguration()
    configuration.defaults.history = 5000
    configure(&configuration)
    let mesh = ChannelMesh(loops: [loop])
    let result = await worker.run { [configuration] context -> Result<Outcome, any Error> in
      Result {
        let hub = MessageHub(configuration, mesh: mesh, in: context)
        var outcome = Outcome()
        try body(ChannelSimulation(hub, seed: seed), &outcome)
        return outcome
      }
    }
    return try result.get()
  }

  private static func words(_ messages: [MartletClient.ChannelMessage]) -> [String] {
    messages.map { message in
      switch message.content {
      case .text(let text), .json(let text): text
      case .binary(let bytes): String(decoding: bytes, as: UTF8.self)
      }
    }
  }

  /// Text, JSON and binary in turn, all with the same word.
  private static func content(_ number: Int) -> ChannelContent {
    switch number % 3 {
    case 0: .text("m\(number)")
    case 1: .json("[\(number)]")
    default: .binary(Array("m\(number)".utf8))
    }
  }

  @Test(arguments: 1...20) func `every message comes exactly once and in order, whatever the network does`(_ seed: Int) async throws {
    let count = 240
    let outcome = try await simulate(seed: UInt64(seed)) { simulation, outcome in
      var random = SeededRandom(seed: UInt64(seed) &* 977)
      let clients = (0..<3).map { _ in simulation.addClient() }
      for client in clients { _ = try client.machine.subscribe(.init(channel: "chat"), now: simulation.now) }
      try simulation.run(for: .seconds(5))
      var requests: [Int64] = []
      for number in 0..<count {
        let message = ChannelMachine.Publication(channel: "chat", content: Self.content(number), key: "k\(number)")
        requests.append(try clients[0].machine.publish(message, now: simulation.now))
        for client in clients where Double.random(in: 0..<1, using: &random) < 0.25 {
          switch Int.random(in: 0..<4, using: &random) {
          case 0: simulation.kick(client, 4008)
          case 1: client.lose(.unreachable("nobody there"), now: simulation.now)
          default: client.lose(.closed(1006, "cut"), now: simulation.now)
          }
        }
        try simulation.run(for: .milliseconds(Int.random(in: 5...150, using: &random)))
      }
      try simulation.run(for: .seconds(60))
      let last = try clients[0].machine.history("chat", .last(5000), limit: 5000, now: simulation.now)
      try simulation.run(for: .seconds(10))
      if case .success(.history(let history)) = clients[0].answers[last] { outcome.log = Self.words(history.messages) }
      outcome.heard = clients.map { Self.words($0.messages) }
      outcome.losses = clients.map(\.losses).reduce(0, +)
      outcome.answered = requests.count { if case .success(.cursor) = clients[0].answers[$0] { true } else { false } }
      for event in clients.flatMap(\.events) { if case .lost(let cursor) = event { outcome.faults.append("lost \(cursor)") } }
    }
    #expect(outcome.answered == count)
    let expected = (0..<count).map { $0 % 3 == 1 ? "[\($0)]" : "m\($0)" }
    let (isLogged, areHeard) = (outcome.log.sorted() == expected.sorted(), outcome.heard.allSatisfy { $0 == outcome.log })
    #expect(isLogged, "\(outcome.log.count) messages of \(count)")
    #expect(areHeard, "\(outcome.heard.map(\.count)) of \(outcome.log.count)")
    #expect(outcome.faults.isEmpty)
    #expect(outcome.losses > 100)
  }

  @Test func `a reader that does not keep up is held, and gets the rest later`() async throws {
    let outcome = try await simulate(seed: 5) { simulation, outcome in
      let (writer, slow) = (simulation.addClient(), simulation.addClient())
      let id = try slow.machine.subscribe(.init(channel: "chat"), now: simulation.now)
      try simulation.run(for: .seconds(2))
      for number in 0..<100 {
        _ = try writer.machine.publish(.init(channel: "chat", content: .text("\(number)"), key: "k\(number)"), now: simulation.now)
        if number == 20 { slow.room = 5 }
        if number == 50 { slow.lose(.closed(1006, ""), now: simulation.now) }
        try simulation.run(for: .milliseconds(20))
      }
      try simulation.run(for: .seconds(5))
      outcome.answered = slow.messages.count
      slow.room = .max
      slow.machine.release(id, now: simulation.now)
      slow.drain(now: simulation.now)
      try simulation.run(for: .seconds(5))
      outcome.heard = [Self.words(slow.messages)]
    }
    #expect(outcome.answered < 40)
    #expect(outcome.heard == [(0..<100).map { "\($0)" }])
  }

  @Test func `what the channel did not keep is said to be lost, with the newest message`() async throws {
    let outcome = try await simulate(seed: 6) {
      $0.defaults.history = 5
    } _: { simulation, outcome in
      let (writer, away) = (simulation.addClient(), simulation.addClient())
      _ = try away.machine.subscribe(.init(channel: "chat"), now: simulation.now)
      try simulation.run(for: .seconds(2))
      away.lose(.unreachable("away"), now: simulation.now)
      // A channel keeps more than it is told to while it is live, up to a bound.
      for number in 0..<2000 {
        _ = try writer.machine.publish(.init(channel: "chat", content: .text("\(number)"), key: "k\(number)"), now: simulation.now)
        // Its connections take longer than all of this.
        if away.connectAt != nil { away.connectAt = simulation.now + .seconds(3) }
        try simulation.run(for: .milliseconds(15))
      }
      try simulation.run(for: .seconds(8))
      outcome.heard = [Self.words(away.messages)]
      outcome.interruptions = away.events.map { event in
        switch event {
        case .lost: "lost"
        case .message: "message"
        case .presence: "presence"
        case .interrupted: "interrupted"
        case .resumed: "resumed"
        }
      }
    }
    #expect(outcome.interruptions.prefix(3) == ["interrupted", "resumed", "lost"])
    #expect(outcome.heard.first == ["1999"])
  }
}

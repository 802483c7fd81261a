import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// RFC 9260 §6.
@Suite struct TransferTests {
  static let interleaved: SCTPConfiguration = .init()
  static var plain: SCTPConfiguration {
    var configuration = SCTPConfiguration()
    configuration.extensions = [.partialReliability, .reconfiguration]
    return configuration
  }

  @Test(arguments: seeds(20), [true, false])
  func `messages of all sizes arrive whole, once and in order over a bad network`(seed: UInt64, interleaves: Bool) throws {
    let configuration = interleaves ? Self.interleaved : Self.plain
    let simulation = Simulation(
      seed: seed, loss: 0.05, jitter: .milliseconds(5), reorder: 0.05, duplicate: 0.05, left: configuration, right: configuration)
    var sent: [UInt16: [Slice]] = [:]
    var random = SeededRandom(seed: seed)
    let ids = try (0..<4).map { try simulation.left.session.open(DataChannelOptions(label: "\($0)"), now: .zero) }
    for number in 0..<120 {
      let id = ids[number % 4]
      let size = [0, 1, 3, 900, 1150, 1151, 5000, 65536].randomElement(using: &random) ?? 1
      let message = pattern(size, number)
      sent[id, default: []].append(message)
      try simulation.left.session.send(number % 3 == 0 ? .text : .binary, message, on: id, now: .zero)
    }
    #expect(simulation.connect())
    #expect(simulation.run(for: .seconds(300)) { $0.right.messageCount == 120 })
    #expect(simulation.right.messages == sent)
    simulation.run(for: .seconds(5))
    #expect(simulation.right.messageCount == 120)
    let statistics = simulation.left.session.statistics
    #expect(statistics.bytesInFlight == 0 && statistics.bytesSent == simulation.right.session.statistics.bytesReceived)
  }
}

import MartletPrimitives
import MartletSCTP
import TestSupport
import Testing

/// How fast data moves, in virtual time.
@Suite struct ThroughputTests {
  /// Keeps a channel full for a while.
  /// - Returns: bits per second of payload that arrived.
  private func measure(_ simulation: Simulation, seconds: Int, message: Int = 16384) throws -> Double {
    let id = try simulation.left.session.open(DataChannelOptions(label: "bulk"), now: .zero)
    simulation.right.keepsMessages = false
    #expect(simulation.connect())
    let payload = pattern(message, 1)
    let start = simulation.now
    let end = start + .seconds(seconds)
    while simulation.now < end {
      while simulation.left.session.bufferedAmount(of: id) < 1 << 20 {
        try simulation.left.session.send(.binary, payload, on: id, now: simulation.now)
      }
      simulation.run(for: .milliseconds(20))
    }
    return Double(simulation.right.messageBytes * 8) / Double(seconds)
  }

  // RFC 9260 §7.2 alone gives 1.1 Mbit/s: 1.22 packets × √(1 / loss) in a round trip.
  @Test(arguments: [(0.001, 20.0), (0.01, 6.0), (0.03, 3.0)])
  func `a path that loses packets without being full is used`(loss: Double, floor: Double) throws {
    let rates = try seeds(2).map { seed in
      try measure(Simulation(seed: seed, loss: loss, latency: .milliseconds(50), jitter: .milliseconds(5)), seconds: 10) / 1e6
    }
    #expect(rates.allSatisfy { $0 > floor }, "Mbit/s: \(rates)")
  }

  // RFC 9260 §7.2: a path that is full is not made worse.
  @Test(arguments: [(1_250_000, 125_000), (1_250_000, 30_000), (250_000, 60_000)])
  func `a bottleneck is filled, and few packets are lost in its queue`(rate: Int, queue: Int) throws {
    let simulation = Simulation(seed: 3, latency: .milliseconds(50), jitter: .milliseconds(5))
    simulation.bottleneck = Bottleneck(bytesPerSecond: rate, queueBytes: queue)
    let share = try measure(simulation, seconds: 20) / Double(rate * 8)
    #expect(share > 0.75)
    #expect((simulation.bottleneck?.dropped ?? .max) * 25 < simulation.network.statistics.sent)
  }
}

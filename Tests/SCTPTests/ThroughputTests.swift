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

  @Test(arguments: [(50, 0.0), (50, 0.01), (50, 0.03), (20, 0.01), (100, 0.01), (5, 0.01), (50, 0.001)])
  func explore(_ latency: Int, _ loss: Double) throws {
    let simulation = Simulation(seed: 3, loss: loss, latency: .milliseconds(latency))
    let rate = try measure(simulation, seconds: 20)
    let s = simulation.left.session.statistics
    print(
      "RATE rtt \(2*latency) loss \(loss): \(rate / 1e6) Mbit/s cwnd \(s.congestionWindow) rtx \(s.retransmissions) to \(s.timeouts) lost \(simulation.network.statistics.lost) sent \(simulation.network.statistics.sent)"
    )
  }

  @Test(arguments: [
    (1_250_000, 125_000, 0.0), (1_250_000, 30_000, 0.0), (1_250_000, 125_000, 0.01), (250_000, 60_000, 0.0), (6_000_000, 60_000, 0.01),
  ])
  func bottleneck(_ rate: Int, _ queue: Int, _ loss: Double) throws {
    let simulation = Simulation(seed: 3, loss: loss, latency: .milliseconds(50))
    simulation.bottleneck = Bottleneck(bytesPerSecond: rate, queueBytes: queue)
    let got = try measure(simulation, seconds: 20)
    let s = simulation.left.session.statistics
    print(
      "BOTTLE \(rate * 8 / 1_000_000) Mbit/s queue \(queue) loss \(loss): \(got / 1e6) Mbit/s cwnd \(s.congestionWindow) rtx \(s.retransmissions) to \(s.timeouts) dropped \(simulation.bottleneck!.dropped) sent \(simulation.network.statistics.sent) srtt \(s.roundTrip!.milliseconds)"
    )
  }
}

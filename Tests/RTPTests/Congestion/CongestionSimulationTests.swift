import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// The whole of congestion control over a link of known rate, in virtual time (draft-ietf-rmcat-gcc-02).
@Suite struct CongestionSimulationTests {
  /// Runs flows in steps of a millisecond, between two seconds; answers each one's mean estimate as a share of the link's rate.
  @discardableResult private static func run(
    _ flows: inout [SimulatedFlow], over link: inout Bottleneck, from start: Int, to end: Int
  ) -> [Double] {
    var sums = flows.map { _ in 0.0 }
    link.forgetLongestQueue()
    for millisecond in start * 1000..<end * 1000 {
      let now = Instant.zero + .milliseconds(millisecond)
      for index in flows.indices {
        flows[index].step(now, &link)
        sums[index] += Double(flows[index].control.estimate?.bitsPerSecond ?? 0)
      }
    }
    return sums.map { $0 / Double((end - start) * 1000) / link.rate }
  }

  @Test(arguments: [300_000.0, 1_000_000, 2_500_000, 8_000_000], seeds(5))
  func `the estimate comes to most of what the link carries, and the queue stays short`(_ rate: Double, _ seed: UInt64) {
    var link = Bottleneck(rate: rate, seed: seed)
    var flows = [SimulatedFlow(.adaptive, seed: seed)]
    Self.run(&flows, over: &link, from: 0, to: 10)
    let share = Self.run(&flows, over: &link, from: 10, to: 40)
    #expect((0.7...1).contains(share[0]))
    #expect(link.longestQueue < .milliseconds(200))
  }

  @Test(arguments: seeds(10))
  func `the estimate follows the link down within two seconds, and up again`(_ seed: UInt64) {
    var link = Bottleneck(rate: 3_000_000, seed: seed)
    var flows = [SimulatedFlow(.adaptive, seed: seed)]
    Self.run(&flows, over: &link, from: 0, to: 20)
    link.setRate(1_000_000, now: .zero + .seconds(20))
    Self.run(&flows, over: &link, from: 20, to: 22)
    let after = Self.run(&flows, over: &link, from: 22, to: 30)
    #expect((0.6...1).contains(after[0]))
    Self.run(&flows, over: &link, from: 30, to: 40)
    #expect(link.longestQueue < .milliseconds(300))
    link.setRate(3_000_000, now: .zero + .seconds(40))
    Self.run(&flows, over: &link, from: 40, to: 60)
    let recovered = Self.run(&flows, over: &link, from: 60, to: 70)
    #expect((0.7...1).contains(recovered[0]))
  }

  // §6: below 2 % loss is the path's nature, not its queue; up to 10 % nothing is given up.
  @Test(arguments: [0.01, 0.02, 0.05], seeds(5))
  func `packets that are lost at random do not bring the estimate down`(_ loss: Double, _ seed: UInt64) {
    var link = Bottleneck(rate: 2_000_000, loss: loss, seed: seed)
    var flows = [SimulatedFlow(.adaptive, seed: seed)]
    Self.run(&flows, over: &link, from: 0, to: 10)
    let share = Self.run(&flows, over: &link, from: 10, to: 40)
    #expect((0.65...1).contains(share[0]))
  }

  @Test func `loss of a fifth does, and is the reason`() {
    var link = Bottleneck(rate: 2_000_000, loss: 0.2, seed: 1)
    var flows = [SimulatedFlow(.adaptive, seed: 1)]
    let share = Self.run(&flows, over: &link, from: 0, to: 20)
    #expect(share[0] < 0.5)
    #expect(flows[0].control.estimate?.reason == .loss)
  }

  @Test(arguments: seeds(5)) func `two flows share a link, and neither starves`(_ seed: UInt64) {
    var link = Bottleneck(rate: 3_000_000, seed: seed)
    var flows = [SimulatedFlow(.adaptive, seed: seed), SimulatedFlow(.adaptive, seed: seed + 100)]
    Self.run(&flows, over: &link, from: 0, to: 20)
    let shares = Self.run(&flows, over: &link, from: 20, to: 60)
    #expect(shares.allSatisfy { $0 > 0.15 } && (0.7...1.05).contains(shares.reduce(0, +)))
  }

  @Test(arguments: [200_000.0, 500_000, 1_000_000], seeds(3))
  func `a stream that does not fit is cut to what does, without a standing queue`(_ rate: Double, _ seed: UInt64) {
    var link = Bottleneck(rate: rate, queue: .seconds(1), seed: seed)
    var flows = [SimulatedFlow(.fixed(1_500_000), seed: seed)]
    Self.run(&flows, over: &link, from: 0, to: 5)
    let before = flows[0].receivedBytes
    let share = Self.run(&flows, over: &link, from: 5, to: 25)
    #expect((0.7...1).contains(share[0]))
    #expect((0.65...1).contains(Double(flows[0].receivedBytes - before) * 8 / 20 / rate))
    // Half a second of patience, and at 200 kbit/s the picture that was begun: it takes 250 ms.
    #expect(link.longestQueue < .milliseconds(800))
    #expect(flows[0].droppedPictures > 0 && flows[0].longestHold <= .milliseconds(501))
  }

  @Test(arguments: seeds(3)) func `a stream that fits is held back by nothing, and probing ends`(_ seed: UInt64) {
    var link = Bottleneck(rate: 10_000_000, seed: seed)
    var flows = [SimulatedFlow(.fixed(1_500_000), seed: seed)]
    Self.run(&flows, over: &link, from: 0, to: 2)
    flows[0].forgetLongestHold()
    Self.run(&flows, over: &link, from: 2, to: 10)
    let padding = flows[0].padding
    Self.run(&flows, over: &link, from: 10, to: 60)
    #expect(flows[0].longestHold < .milliseconds(34) && flows[0].droppedPictures == 0)
    // All that was ever sent is less than a tenth of a second of the stream; later there is none.
    #expect(padding < 60_000 && flows[0].padding == padding)
  }

  @Test func `without padding the path is found out all the same`() {
    var link = Bottleneck(rate: 4_000_000, seed: 3)
    var flows = [SimulatedFlow(.adaptive, sendsPadding: false, seed: 3)]
    Self.run(&flows, over: &link, from: 0, to: 30)
    let share = Self.run(&flows, over: &link, from: 30, to: 50)
    #expect((0.7...1).contains(share[0]) && flows[0].padding == 0)
  }
}

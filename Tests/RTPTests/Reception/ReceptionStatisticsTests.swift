import MartletPrimitives
import MartletRTP
import Testing

@Suite struct ReceptionStatisticsTests {
  private func receive(
    _ statistics: inout ReceptionStatistics, _ numbers: some Sequence<Int>, ticks: UInt32 = 3000, at start: Instant = .zero
  ) throws {
    for number in numbers {
      let bytes = packet(
        sequenceNumber: UInt16(truncatingIfNeeded: number), timestamp: UInt32(truncatingIfNeeded: number) &* ticks, payload: [1])
      statistics.receive(try RTPHeader(parsing: bytes.span.bytes), bytes: 1, now: start + .milliseconds(number) * 33)
    }
  }

  // RFC 3550 A.3.
  @Test func `losses count from the first packet, the fraction from the last report`() throws {
    var statistics = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    var block = statistics.reportBlock(now: .zero)
    #expect(block == nil)
    try receive(&statistics, (0..<100).filter { $0 % 4 != 1 })
    block = statistics.reportBlock(now: .zero)
    #expect(block?.cumulativeLost == 25)
    #expect(block?.fractionLost == 64)
    #expect(block?.extendedHighest == 99)
    try receive(&statistics, 100..<200)
    block = statistics.reportBlock(now: .zero)
    #expect(block?.cumulativeLost == 25)
    #expect(block?.fractionLost == 0)
  }

  @Test func `duplicates make the loss negative, not the fraction`() throws {
    var statistics = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    try receive(&statistics, [1, 2, 2, 2, 3])
    let block = statistics.reportBlock(now: .zero)
    #expect(block?.cumulativeLost == -2)
    #expect(block?.fractionLost == 0)
  }

  // RFC 3550 A.1.
  @Test func `the highest number counts roll-overs, disorder does not disturb it`() throws {
    var statistics = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    try receive(&statistics, [65_534, 65_536, 65_535, 65_537, 65_533 + 65_536])
    let block = statistics.reportBlock(now: .zero)
    #expect(block?.extendedHighest == 65_537)
  }

  @Test func `a jump counts only when the next packet follows it`() throws {
    var statistics = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    try receive(&statistics, [1, 2, 30_000, 3])
    var block = statistics.reportBlock(now: .zero)
    #expect(block?.extendedHighest == 3)
    try receive(&statistics, [30_000, 30_001, 30_002])
    block = statistics.reportBlock(now: .zero)
    #expect(block?.extendedHighest == 30_002)
    #expect(block?.cumulativeLost == 0)
  }

  // RFC 3550 A.8.
  @Test func `jitter is zero at an even pace and follows the deviation`() throws {
    var even = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    try receive(&even, 0..<200, ticks: 2970)
    #expect(even.jitter == 0)
    var uneven = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    for number in 0..<400 { try receive(&uneven, [number], ticks: 2970, at: number % 2 == 0 ? .zero : .zero + .milliseconds(10)) }
    // Every difference is 10 ms, which are 900 ticks.
    #expect((890...900).contains(uneven.jitter))
  }

  @Test func `the last sender report comes back with its delay`() throws {
    var statistics = ReceptionStatistics(ssrc: 7, clockRate: 90_000)
    try receive(&statistics, [1])
    let ntp = NTPTime(WallTime(milliseconds: 1_700_000_000_000))
    statistics.receive(SenderReport(ssrc: 7, ntp: ntp, timestamp: 0, packets: 0, bytes: 0), now: .zero)
    let block = statistics.reportBlock(now: .zero + .milliseconds(250))
    #expect(block?.lastSenderReport == ntp.middle)
    #expect(block?.delaySinceLastSenderReport == 16_384)
    // What the sender makes of it: 40 ms on the way.
    let trip = block?.roundTrip(now: ntp.advanced(by: .milliseconds(290)))
    #expect(abs((trip ?? .zero).nanoseconds - 40_000_000) < 32_000)
  }
}

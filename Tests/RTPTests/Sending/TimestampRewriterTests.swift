import MartletPrimitives
import MartletRTP
import Testing

@Suite struct TimestampRewriterTests {
  private func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test func `without reports a change goes on at the pace of the clock`() {
    var rewriter = TimestampRewriter(clockRate: 90_000, source: 1, offset: 10)
    var out = rewriter.forward(1000, of: 1, now: at(0))
    #expect(out == 1010)
    rewriter.change(to: 2, timestamp: 77_000, now: at(40))
    out = rewriter.forward(77_000, of: 2, now: at(40))
    #expect(out == 4610)
    out = rewriter.forward(77_090, of: 2, now: at(41))
    #expect(out == 4700)
    // A change at once still moves on.
    rewriter.change(to: 3, timestamp: 5, now: at(41))
    out = rewriter.forward(5, of: 3, now: at(41))
    #expect(out == 4701)
  }

  @Test func `late packets of the former source keep its timestamps`() {
    var rewriter = TimestampRewriter(clockRate: 90_000, source: 1, offset: 10)
    _ = rewriter.forward(1000, of: 1, now: at(0))
    rewriter.change(to: 2, timestamp: 77_000, now: at(40))
    let late = (rewriter.forward(990, of: 1, now: at(41)), rewriter.rewritten(990, of: 1), rewriter.forward(1, of: 3, now: at(41)))
    #expect(late == (1000, 1000, nil))
    let next = rewriter.forward(77_000, of: 2, now: at(41))
    #expect(next == 4610)
  }

  @Test func `with reports of both sources it is exact`() {
    var rewriter = TimestampRewriter(clockRate: 90_000, source: 1)
    _ = rewriter.forward(90_000, of: 1, now: at(0))
    let ntp = NTPTime(WallTime(milliseconds: 1_700_000_000_000))
    // At the same time the old clock is at 90,000 and the new one at 500.
    let old = MediaClock(ntp: ntp, timestamp: 90_000, rate: 90_000)
    let new = MediaClock(ntp: ntp.advanced(by: .seconds(1)), timestamp: 90_500, rate: 90_000)
    rewriter.change(to: 2, timestamp: 500 + 4500, clocks: (old, new), now: at(90))
    let out = rewriter.forward(5000, of: 2, now: at(90)) ?? 0
    #expect((94_499...94_501).contains(out))
    #expect(rewriter.rewritten(new).timestamp &- out == 90_500 - 5000)
  }

  @Test func `a clock far off is not believed`() {
    var rewriter = TimestampRewriter(clockRate: 90_000, source: 1)
    _ = rewriter.forward(90_000, of: 1, now: at(0))
    let ntp = NTPTime(WallTime(milliseconds: 1_700_000_000_000))
    let old = MediaClock(ntp: ntp, timestamp: 90_000, rate: 90_000)
    let new = MediaClock(ntp: ntp.advanced(by: .seconds(3600)), timestamp: 500, rate: 90_000)
    rewriter.change(to: 2, timestamp: 500, clocks: (old, new), now: at(10))
    let out = rewriter.forward(500, of: 2, now: at(10))
    #expect(out == 90_900)
  }

  @Test func `a sender report carries the publisher's clock on`() {
    var statistics = SenderStatistics(ssrc: 3, clockRate: 48_000)
    let ntp = NTPTime(WallTime(milliseconds: 1_700_000_000_000))
    #expect(statistics.report(ntp: ntp, now: at(0)) == nil)
    statistics.sent(timestamp: 960, payloadBytes: 100, now: at(0))
    statistics.sent(timestamp: 1920, payloadBytes: 50, now: at(20))
    #expect(statistics.report(ntp: ntp, now: at(30)) == SenderReport(ssrc: 3, ntp: ntp, timestamp: 2400, packets: 2, bytes: 150))
    let clock = MediaClock(ntp: ntp.advanced(by: .milliseconds(-500)), timestamp: 1000, rate: 48_000)
    #expect(statistics.report(ntp: ntp, clock: clock)?.timestamp == 25_000)
    let back = clock.ntp(at: 25_000) - ntp
    #expect(abs(back.nanoseconds) < 10)
  }
}

import MartletPrimitives
import MartletRTP
import Testing

/// Peers that do not report on every packet: REMB (draft-alvestrand-rmcat-remb-03) and receiver reports (RFC 3550 §6.4.1).
@Suite struct ReportedCongestionTests {
  private static func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test func `nothing is held back before the peer says something`() {
    let control = CongestionControl(.reports)
    for _ in 0..<1000 { control.sentUnnumbered(bytes: 1200, now: .zero) }
    #expect(control.estimate == nil && control.isOpen(.zero))
  }

  @Test func `what the peer says is the estimate, within the limits`() {
    let control = CongestionControl(.reports)
    control.receive(bitrateLimit: 700_000, now: .zero)
    #expect(control.estimate == BandwidthEstimate(bitsPerSecond: 700_000, reason: .remb))
    control.receive(bitrateLimit: .max, now: .zero)
    #expect(control.estimate?.bitsPerSecond == CongestionLimits().maximum)
    control.receive(bitrateLimit: 0, now: .zero)
    #expect(control.estimate?.bitsPerSecond == CongestionLimits().minimum)
  }

  @Test func `REMB counts for nothing beside feedback on every packet`() {
    let control = CongestionControl(.transportFeedback)
    control.receive(bitrateLimit: 100_000, now: .zero)
    #expect(control.estimate?.reason == .start)
  }

  @Test func `loss in receiver reports is a bound, and goes when it is over`() {
    let control = CongestionControl(.reports)
    control.receive(bitrateLimit: 2_000_000, now: .zero)
    var highest: UInt32 = 0
    func report(_ second: Int, _ fraction: UInt8) {
      for packet in 0..<100 { control.sentUnnumbered(bytes: 1200, now: Self.at(second * 1000 + packet * 10)) }
      highest += 100
      control.receive(
        ReportBlock(ssrc: 1, fractionLost: fraction, cumulativeLost: 0, extendedHighest: highest), now: Self.at(second * 1000 + 999))
    }
    for second in 0..<10 { report(second, 64) }
    #expect(control.estimate?.reason == .loss)
    let low = control.estimate?.bitsPerSecond ?? 0
    #expect(low < 600_000)
    for second in 10..<60 { report(second, 0) }
    #expect(control.estimate == BandwidthEstimate(bitsPerSecond: 2_000_000, reason: .remb))
  }

  @Test func `reports about sources without end are bounded`() {
    let control = CongestionControl(.reports)
    for ssrc in 0..<10_000 as Range<UInt32> {
      control.receive(ReportBlock(ssrc: ssrc, fractionLost: 255, cumulativeLost: 0, extendedHighest: .max), now: Self.at(Int(ssrc)))
    }
    #expect(control.estimate == nil)
  }
}

import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

/// Feedback is the peer's word: whatever it says, the estimate stays within its limits and nothing grows.
@Suite struct HostileFeedbackTests {
  private static let limits = CongestionLimits()

  private static func feedback(_ base: UInt16, reference: Int32 = 0, _ deltas: [Int16?]) -> TransportFeedback {
    TransportFeedback(sender: 1, media: 2, baseSequenceNumber: base, referenceTime: reference, feedbackCount: 0, deltas: deltas)
  }

  private static func isBounded(_ control: CongestionControl) -> Bool {
    (limits.minimum...limits.maximum).contains(control.estimate?.bitsPerSecond ?? 0)
  }

  @Test(arguments: seeds(20)) func `feedback at random leaves the estimate within its limits`(_ seed: UInt64) {
    var random = RandomSource(seed: seed)
    let control = CongestionControl(.transportFeedback)
    var now = Instant.zero
    var number: UInt16 = 0
    for _ in 0..<3000 {
      now = now + .milliseconds(Int.random(in: 0...20, using: &random))
      for _ in 0..<Int.random(in: 0...4, using: &random) {
        number = control.sent(bytes: Int.random(in: 0...1500, using: &random), now: now)
      }
      let isNear = Bool.random(using: &random)
      let base = isNear ? number &- UInt16.random(in: 0...20, using: &random) : UInt16.random(in: 0...65_535, using: &random)
      let deltas = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        Bool.random(using: &random) ? Int16.random(in: .min ... .max, using: &random) : nil
      }
      control.receive(Self.feedback(base, reference: Int32.random(in: -0x80_0000...0x7F_FFFF, using: &random), deltas), now: now)
      #expect(Self.isBounded(control))
    }
  }

  @Test func `what was never sent, and what was told already, tells nothing`() {
    let control = CongestionControl(.transportFeedback)
    let first = control.sent(bytes: 1000, now: .zero)
    control.receive(Self.feedback(first &+ 1000, [0, 0, 0]), now: .zero + .milliseconds(50))
    #expect(control.estimate == BandwidthEstimate(bitsPerSecond: Self.limits.start, reason: .start))
    control.receive(Self.feedback(first, [0]), now: .zero + .milliseconds(60))
    let told = control.estimate
    #expect(told?.reason == .delay)
    for _ in 0..<10_000 { control.receive(Self.feedback(first, [0]), now: .zero + .milliseconds(70)) }
    #expect(control.estimate == told)
  }

  // Who claims that everything arrived at once gets no more than the limit and than the headroom over what was sent.
  @Test func `a peer that praises the path without end reaches the limit at most`() {
    let control = CongestionControl(.transportFeedback)
    var now = Instant.zero
    for turn in 0..<2000 {
      let number = control.sent(bytes: 1200, now: now)
      now = now + .milliseconds(10)
      control.receive(Self.feedback(number, reference: Int32(turn / 7), [Int16(turn % 7) * 36]), now: now)
    }
    #expect(Self.isBounded(control))
  }

  // Else whoever sends would be woken every few milliseconds for ever.
  @Test func `a probe of a stream that stops is over soon`() {
    let control = CongestionControl(.transportFeedback)
    _ = control.sent(bytes: 1200, now: .zero)
    #expect(control.isProbing(.zero) && control.padding(.zero + .milliseconds(10)) > 0)
    #expect(!control.isProbing(.zero + .milliseconds(100)) && control.padding(.zero + .milliseconds(100)) == 0)
  }

  @Test func `silence of the peer brings the estimate down to the least`() {
    let control = CongestionControl(.transportFeedback)
    var now = Instant.zero
    for turn in 0..<100 {
      let number = control.sent(bytes: 1200, now: now)
      now = now + .milliseconds(10)
      control.receive(Self.feedback(number, reference: Int32(turn / 6), [Int16(turn % 6) * 40]), now: now)
    }
    for _ in 0..<6000 {
      now = now + .milliseconds(10)
      _ = control.sent(bytes: 1200, now: now)
    }
    #expect(control.estimate?.bitsPerSecond == Self.limits.minimum)
  }
}

import MartletPrimitives
import MartletRTP
import Testing

@Suite struct PacerTests {
  private static func at(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  /// Packets that leave at once.
  private static func train(_ pacer: inout Pacer, _ now: Instant, of most: Int = 10_000) -> Int {
    var count = 0
    while count < most, pacer.isOpen(now) {
      pacer.sent(bytes: 1000, now: now)
      count += 1
    }
    return count
  }

  @Test func `a burst leaves at once, and the next when it pays`() {
    var pacer = Pacer()
    pacer.setRate(3_200_000, now: .zero)
    // A packet takes a millisecond at 2.5 times the rate.
    let first = Self.train(&pacer, .zero)
    #expect(first == 10)
    #expect(pacer.opening == Self.at(5))
    let next = Self.train(&pacer, Self.at(5))
    #expect(next == 5)
  }

  @Test func `on average no more than the rate leaves`() {
    var pacer = Pacer()
    pacer.setRate(800_000, now: .zero)
    var packets = 0
    for millisecond in 0..<10_000 { packets += Self.train(&pacer, Self.at(millisecond)) }
    // 100 a second, and half a second in advance.
    #expect((1000...1052).contains(packets))
  }

  @Test func `what is over the budget is as many bytes at another rate`() {
    var pacer = Pacer()
    pacer.setRate(800_000, now: .zero)
    for _ in 0..<100 { pacer.sent(bytes: 1000, now: .zero) }
    #expect(!pacer.isOpen(Self.at(400)))
    pacer.setRate(8_000_000, now: .zero)
    #expect(pacer.isOpen(Self.at(40)))
  }

  @Test func `what does not wait is counted, up to a second`() {
    var pacer = Pacer()
    pacer.setRate(80_000, now: .zero)
    for _ in 0..<10_000 { pacer.sent(bytes: 1000, now: .zero) }
    #expect(!pacer.isOpen(.zero) && pacer.isOpen(Self.at(1001)))
    #expect(!pacer.isOpenForRepair(.zero))
  }

  @Test func `the packets of a probe are apart`() {
    var pacer = Pacer()
    pacer.setRate(1_000_000, peak: 8_000_000, isProbing: true, now: .zero)
    let first = Self.train(&pacer, .zero)
    #expect(first == 3)
  }
}

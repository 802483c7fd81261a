import MartletPrimitives
import TestSupport
import Testing

@Suite struct BackoffTests {
  @Test func `pauses double up to the maximum, shortened by up to half`() {
    var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(30))
    var random = SeededRandom(seed: 7)
    for full in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
      let pause = backoff.next(using: &random)
      #expect(pause <= .milliseconds(full))
      #expect(pause >= .milliseconds(full / 2))
    }
    backoff.reset()
    #expect(backoff.next(using: &random) <= .milliseconds(500))
  }

  @Test func `a thousand failures and odd settings do not overflow`() {
    var random = SeededRandom(seed: 1)
    for span in [TimeSpan.zero, .seconds(1), TimeSpan(nanoseconds: .max)] {
      var backoff = Backoff(initial: span, maximum: TimeSpan(nanoseconds: .max))
      for _ in 0..<1000 { #expect(backoff.next(using: &random) >= .zero) }
    }
  }
}

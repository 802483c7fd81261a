import MartletPrimitives
import Testing

/// ITU-T I.371 Annex A.1, the virtual scheduling algorithm.
@Suite struct RatePolicerTests {
  private let start = Instant.zero + .seconds(10)

  @Test func `a burst passes at once, and then as much as the rate gives back`() {
    var meter = RatePolicer()
    func passes(at now: Instant) -> Int { (0..<100).count { _ in meter.take(100, rate: 1000, now: now) } }
    #expect(passes(at: start) == 10)
    #expect(passes(at: start + .milliseconds(550)) == 5)
    #expect(passes(at: start + .milliseconds(600)) == 1)
    #expect(passes(at: start + .seconds(60)) == 10)
  }

  @Test func `a burst may be of any length, in time or in units`() {
    var meter = RatePolicer()
    let burst = RatePolicer.time(for: 200, at: 20)
    #expect(burst == .seconds(10))
    let passed = (0..<1000).count { _ in meter.take(1, rate: 20, burst: burst, now: start) }
    #expect(passed == 200)
    #expect(meter.take(1, rate: 20, burst: burst, now: start + .milliseconds(49)) == false)
    #expect(meter.take(1, rate: 20, burst: burst, now: start + .milliseconds(50)) == true)
  }

  @Test func `what cannot be refused is waited for`() {
    var meter = RatePolicer()
    #expect(meter.charge(1000, rate: 1000, now: start) == nil)
    #expect(meter.charge(500, rate: 1000, now: start) == .milliseconds(500))
    #expect(meter.take(1, rate: 1000, now: start + .milliseconds(500)) == false)
    #expect(meter.charge(100, rate: 1000, now: start + .milliseconds(600)) == nil)
  }

  @Test func `counts and rates beyond all bounds saturate, and a rate of nothing lets nothing pass`() {
    var meter = RatePolicer()
    #expect(meter.take(.max, rate: 1, now: start) == false)
    #expect(meter.take(.max, rate: .max, now: start) == true)
    #expect(meter.take(1, rate: 0, burst: .seconds(1 << 30), now: start) == false)
    for _ in 0..<2 { #expect(meter.charge(.max, rate: 1, now: start) != nil) }
    #expect(meter.busyUntil == .distantFuture)
    #expect(meter.take(1, rate: 1000, now: start) == false)
  }

  @Test func `over any time no more passes than the rate and a burst, however it comes`() {
    for seed in 0..<20 as Range<UInt64> {
      var (random, meter, now, passed) = (RandomSource(seed: seed), RatePolicer(), start, 0)
      for _ in 0..<2000 {
        now = now + .microseconds(Int.random(in: 0...2000, using: &random))
        let count = Int.random(in: 1...1500, using: &random)
        if meter.take(count, rate: 300_000, now: now) { passed += count }
      }
      let allowed = 300_000 * ((now - start).seconds + 1)
      // What a division drops is below a nanosecond each time.
      #expect(Double(passed) <= allowed + 1 && Double(passed) > allowed * 0.9, "seed \(seed)")
    }
  }
}

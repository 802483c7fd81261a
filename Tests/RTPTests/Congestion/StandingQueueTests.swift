import MartletPrimitives
import Testing

@testable import MartletRTP

@Suite struct StandingQueueTests {
  /// Four answers a second with these times, in milliseconds, a second each; answers in which of them a queue was found.
  private func found(_ times: [Int]) -> [Bool] {
    var queue = StandingQueue()
    _ = queue.add(.milliseconds(times.first ?? 0), now: .zero)
    return times.enumerated().map { second, time in
      (1...4).map { queue.add(.milliseconds(time), now: .zero + .milliseconds(second * 1000 + $0 * 250)) }.contains(true)
    }
  }

  @Test func `a long queue that stays is found, one that empties is left alone`() {
    #expect(found([50, 200, 200]) == [false, true, true])
    #expect(found([50, 300, 250, 200, 160, 50]) == [false, true, false, false, false, false])
    #expect(found([50, 140, 140]) == [false, false, false])
  }

  @Test func `one quick answer in the span shows that it empties`() {
    var queue = StandingQueue()
    _ = queue.add(.milliseconds(50), now: .zero)
    let times = [300, 300, 60, 300]
    let verdicts = times.enumerated().map { queue.add(.milliseconds($1), now: .zero + .milliseconds(250 * ($0 + 1))) }
    #expect(verdicts == [false, false, false, false])
  }

  @Test func `a path that has become longer is reduced for three times, and then known`() {
    #expect(found([50, 400, 400, 400, 400, 400, 400]) == [false, true, true, true, false, false, false])
    // Shorter again, it is known again.
    #expect(found([50, 400, 400, 400, 400, 50, 400]) == [false, true, true, true, false, false, true])
  }
}

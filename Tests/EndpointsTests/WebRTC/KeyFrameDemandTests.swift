@testable import MartletEndpoints
import MartletPrimitives
import Testing

/// A viewer behind a path that is too narrow must not make everybody's pictures worse.
@Suite struct KeyFrameDemandTests {
  private static func at(_ seconds: Int) -> Instant { .zero + .seconds(seconds) }

  @Test func `who skips again and again asks ever more rarely`() {
    var demand = KeyFrameDemand()
    var asked: [Int] = []
    for second in 0..<60 {
      demand.didSkip(Self.at(second))
      if demand.mayAsk(Self.at(second)) { asked.append(second) }
    }
    #expect(asked == [0, 2, 6, 14, 30, 46])
  }

  @Test func `it is not asked for while nothing is left out, and after a good while soon again`() {
    var demand = KeyFrameDemand()
    var mayAsk = demand.mayAsk(Self.at(0))
    #expect(!mayAsk)
    for second in 0..<10 {
      demand.didSkip(Self.at(second))
      _ = demand.mayAsk(Self.at(second))
    }
    demand.didBegin()
    mayAsk = demand.mayAsk(Self.at(50))
    #expect(!mayAsk)
    demand.didSkip(Self.at(60))
    mayAsk = demand.mayAsk(Self.at(60))
    #expect(mayAsk)
    mayAsk = demand.mayAsk(Self.at(62))
    #expect(mayAsk)
  }
}

import MartletMessages
import Testing

@Suite struct UserCensusTests {
  @Test func `a user has so many and no more, and one that leaves makes room`() {
    let census = UserCensus(limit: 2)
    #expect(census.enter("ann") && census.enter("ann") && !census.enter("ann"))
    #expect(census.enter("bob"), "others are others")
    census.leave("ann")
    #expect(census.enter("ann") && !census.enter("ann"))
    for _ in 0..<5 { census.leave("ann") }
    #expect(census.enter("ann") && census.enter("ann") && !census.enter("ann"))
  }

  @Test func `zero is no limit`() {
    let census = UserCensus(limit: 0)
    let all = (0..<1000).allSatisfy { _ in census.enter("ann") }
    #expect(all)
  }
}

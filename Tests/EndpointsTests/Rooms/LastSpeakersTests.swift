import MartletRooms
import Testing

@testable import MartletEndpoints

@Suite struct LastSpeakersTests {
  private func camera(_ name: String, isPinned: Bool = false) -> LastSpeakers.Candidate {
    LastSpeakers.Candidate(participant: ParticipantID(name), isCamera: true, isPinned: isPinned)
  }

  private func screen(_ name: String) -> LastSpeakers.Candidate {
    LastSpeakers.Candidate(participant: ParticipantID(name), isCamera: false, isPinned: false)
  }

  private func chosen(_ candidates: [LastSpeakers.Candidate], _ limit: Int?, _ speakers: [String]) -> [Bool] {
    LastSpeakers.choose(candidates, limit: limit, speakers: speakers.map { ParticipantID($0) })
  }

  @Test func `without a limit all are passed on`() {
    #expect(chosen([camera("a"), camera("b"), screen("a")], nil, []) == [true, true, true])
  }

  @Test func `the cameras of who spoke last go first, and behind them who has not spoken, always the same ones`() {
    let all = ["d", "c", "b", "a"].map { camera($0) }
    #expect(chosen(all, 2, ["c", "a"]) == [false, true, false, true])
    #expect(chosen(all, 3, ["d"]) == [true, false, true, true])
    #expect(chosen(all, 0, ["d"]) == [false, false, false, false])
  }

  @Test func `screens and what is pinned come beside them`() {
    #expect(chosen([camera("a"), camera("b", isPinned: true), camera("c"), screen("c")], 1, ["c", "b"]) == [false, true, true, true])
  }

  @Test func `who speaks but is not watched takes nobody's place`() {
    #expect(chosen([camera("a"), camera("b")], 1, ["x", "y", "b"]) == [false, true])
  }
}

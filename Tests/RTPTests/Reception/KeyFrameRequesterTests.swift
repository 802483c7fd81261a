import MartletPrimitives
import MartletRTP
import Testing

@Suite struct KeyFrameRequesterTests {
  private func times(_ requester: inout KeyFrameRequester, _ range: Range<Int>, _ step: (inout KeyFrameRequester, Int) -> Void) -> [Int] {
    var times: [Int] = []
    for millisecond in range {
      step(&requester, millisecond)
      if requester.poll(now: .zero + .milliseconds(millisecond)) { times.append(millisecond) }
    }
    return times
  }

  @Test func `a thousand wishes are one request in half a second, until a key frame comes`() {
    var requester = KeyFrameRequester()
    let sent = times(&requester, 0..<2000) { requester, millisecond in
      if millisecond < 1200 { requester.request() }
      if millisecond == 1300 { requester.keyFrameArrived() }
    }
    #expect(sent == [0, 500, 1000])
  }

  @Test func `a wish right after a request waits`() {
    var requester = KeyFrameRequester()
    let sent = times(&requester, 0..<1000) { requester, millisecond in
      if millisecond == 0 || millisecond == 100 { requester.request() }
      if millisecond == 50 || millisecond == 600 { requester.keyFrameArrived() }
    }
    #expect(sent == [0, 500])
  }

  @Test func `one who never answers is asked ten times`() {
    var requester = KeyFrameRequester()
    requester.request()
    let sent = times(&requester, 0..<20_000) { _, _ in }
    #expect(sent == (0..<10).map { $0 * 500 })
    #expect(requester.deadline == nil)
  }
}

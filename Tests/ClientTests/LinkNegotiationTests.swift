@testable import MartletClient
import MartletPrimitives
import Testing

@Suite struct LinkNegotiationTests {
  // W3C WebRTC §10.7.
  @Test func `of two offers that meet the impolite one stands`() {
    var (earlier, later) = (LinkNegotiation(isLater: false), LinkNegotiation(isLater: true))
    #expect(earlier.needed(isConnected: true) == .offer)
    earlier.didOffer()
    later.didOffer()
    #expect(later.receiveOffer() == .ignore && later.ignoresOffer)
    #expect(earlier.receiveOffer() == .take(rollsBack: true))
    #expect(later.receiveAnswer() == (true, .nothing))
    // One to an offer that was taken back.
    #expect(earlier.receiveAnswer() == (false, .nothing))
    #expect(earlier.receiveOffer() == .take(rollsBack: false) && !earlier.ignoresOffer)
  }

  // docs/rooms.md, "Who connects to whom".
  @Test func `who came earlier asks, where the other one knows that, and offers where it gets none`() {
    var (earlier, later) = (LinkNegotiation(isLater: false), LinkNegotiation(isLater: true))
    earlier.knowsAsking()
    later.knowsAsking()
    #expect(earlier.needed(isConnected: true) == .ask && later.needed(isConnected: true) == .offer)
    #expect(earlier.needed(isConnected: false) == .offer)
    #expect(later.asked() == .offer && earlier.asked() == .nothing)
    later.didOffer()
    // Asked while an offer is under way, which may lack what is needed: another one follows.
    #expect(later.asked() == .nothing)
    #expect(later.receiveAnswer() == (true, .offer))
    #expect(earlier.askedInVain() == .offer)
    #expect(earlier.needed(isConnected: true) == .offer)
  }

  @Test(arguments: 0..<20) func `whoever needs an offer when, in the end both are at rest with the same one`(seed: Int) {
    enum Signal { case offer(Int), answer(Int), ask }
    var random = RandomSource(seed: UInt64(seed))
    var ends = [LinkNegotiation(isLater: false), LinkNegotiation(isLater: true)]
    var lines: [[Signal]] = [[], []]
    var (agreed, offered, count) = ([0, 0], [0, 0], 0)
    func act(_ step: LinkNegotiation.Step, _ end: Int) {
      guard step != .nothing else { return }
      guard step == .offer else { return lines[1 - end].append(.ask) }
      count += 1
      offered[end] = count
      ends[end].didOffer()
      lines[1 - end].append(.offer(count))
    }
    func deliver(_ end: Int) {
      guard !lines[end].isEmpty else { return }
      switch lines[end].removeFirst() {
      case .offer(let number):
        guard case .take = ends[end].receiveOffer() else { return }
        agreed[end] = number
        lines[1 - end].append(.answer(number))
      case .answer(let number):
        let (isTaken, next) = ends[end].receiveAnswer()
        guard isTaken else { return }
        #expect(number == offered[end])
        agreed[end] = number
        act(next, end)
      case .ask: act(ends[end].asked(), end)
      }
    }
    if Bool.random(using: &random) { ends[0].knowsAsking() }
    for _ in 0..<200 {
      let end = Int.random(in: 0...1, using: &random)
      if Int.random(in: 0..<3, using: &random) == 0 { act(ends[end].needed(isConnected: true), end) } else { deliver(end) }
    }
    for _ in 0..<400 { for end in 0...1 { deliver(end) } }
    #expect(agreed[0] == agreed[1] && !ends[0].isOffering && !ends[1].isOffering)
  }

  // RFC 4796, RFC 4574.
  @Test func `sections are told by their kind, as a screen, and by whose media a supernode passes on`() {
    let sdp = """
      v=0\r\no=- 42 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r
      m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=content:slides\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r
      a=label:p71m0xz2.screen-audio\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:4\r\n
      """
    let labels = SectionLabels(sdp)
    #expect(labels.session == "42")
    #expect(labels.contents.count == 4)
    #expect(labels.contents["0"] == .init(participant: nil, source: .microphone))
    #expect(labels.contents["1"] == .init(participant: nil, source: .camera))
    #expect(labels.contents["2"] == .init(participant: nil, source: .screen))
    #expect(labels.contents["3"] == .init(participant: "p71m0xz2", source: .screenAudio))
    let marked = SectionLabels.marking(["1"], in: sdp)
    #expect(SectionLabels(marked).contents["1"] == .init(participant: nil, source: .screen))
    #expect(SectionLabels(marked).contents["0"] == labels.contents["0"] && marked.hasSuffix("a=mid:4\r\n"))
    #expect(SectionLabels.marking([], in: sdp) == sdp)
  }

  @Test func `whatever a peer writes instead of a description is read`() {
    let text = "o=- 1\r\nm=\r\na=mid:\r\na=label:.\r\na=label:x\r\nm=audio\na=label:p.camera\na=mid:é\n"
    for length in 0...text.utf8.count {
      let sdp = String(decoding: text.utf8.prefix(length), as: UTF8.self)
      #expect(SectionLabels(sdp).contents.count <= 2)
    }
  }

  @Test func `notices that are not complete, or not known, are none`() throws {
    let texts = [
      "{}", "[]", "{\"event\": 1}", "{\"event\": \"offer\", \"from\": \"p\"}", "{\"event\": \"offer\", \"sdp\": \"\"}", "{\"event\": \"left\"}",
      "{\"event\": \"joined\", \"participant\": \"p\"}", "{\"event\": \"dance\"}", "{\"event\": \"signal\", \"from\": \"p\"}",
    ]
    for text in texts { #expect(RoomNotice(try JSON(parsing: text)) == nil) }
    guard case .signal(.candidate(nil), "p")? = RoomNotice(["event": "candidate", "from": "p", "candidate": nil]) else {
      Issue.record("the end of candidates")
      return
    }
    let asked = RoomNotice(["renegotiate": ["audio": -1, "video": .double(1e300)]], saidBy: "p")
    guard case .signal(.renegotiate(let audio, let video), "p") = asked else {
      Issue.record("\(asked)")
      return
    }
    #expect((audio, video) == (-1, 0))
  }
}

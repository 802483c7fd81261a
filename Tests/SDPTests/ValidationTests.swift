import MartletSDP
import Testing

@Suite struct ValidationTests {
  private func failure(_ text: String, as type: SDPType = .offer) throws -> String? {
    let session = try SessionDescription(text)
    do {
      try session.validateForWebRTC(as: type)
      return nil
    } catch { return error.description }
  }

  @Test(arguments: Vectors.browsers) func `offers of real peers are fit for WebRTC`(_ name: String) throws {
    try Vectors.offer(name).validateForWebRTC(as: .offer)
  }

  @Test func `an offer of 2014 is fit for WebRTC`() throws {
    try Vectors.offer2014().validateForWebRTC(as: .offer)
  }

  // RFC 8829 §5.1.2
  @Test func `RTP without encryption is refused`() throws {
    let text = audio(transportLines, transport: "RTP/AVP")
    #expect(try failure(text) == "SDP section 0: the transport RTP/AVP is not encrypted, expected UDP/TLS/RTP/SAVPF")
    #expect(try failure(audio(transportLines, transport: "RTP/AVPF")) != nil)
    #expect(try failure(audio(transportLines, transport: "UDP/BFCP")) != nil)
    #expect(try failure(audio(transportLines)) == nil)
  }

  // RFC 5888 §4
  @Test func `a mid names one section`() throws {
    let section = "m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\n" + transportLines
    #expect(try failure(audio("a=mid:0", transportLines, section)) == "SDP section 1: the mid 0 for a second time")
  }

  // RFC 8843 §7
  @Test func `a bundle names sections that exist, each once`() throws {
    let text = audio("a=mid:0", transportLines)
    #expect(try failure(text.replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0 1"))?.contains("names 1") == true)
    #expect(try failure(text.replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0 0"))?.contains("second time") == true)
    #expect(try failure(text.replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0")) == nil)
  }

  // RFC 8843 §7.1.3
  @Test func `only the first of a bundle needs a transport`() throws {
    let bundled = "m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=bundle-only\na=rtpmap:96 VP8/90000"
    let text = audio("a=mid:0", transportLines, bundled)
    #expect(try failure(text.replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0 1")) == nil)
    #expect(try failure(text) != nil)
  }

  // RFC 8839 §5.4, RFC 8122, RFC 8842 §5
  @Test func `credentials, a fingerprint and a role are needed`() throws {
    let lines = transportLines.split(separator: "\n").map(String.init)
    for (index, name) in ["ice-ufrag", "ice-pwd"].enumerated() {
      let others = lines.enumerated().filter { $0.offset != index }.map(\.element).joined(separator: "\n")
      #expect(try failure(audio(others))?.contains(name) == true)
    }
    #expect(try failure(audio(lines.dropLast().joined(separator: "\n")))?.contains("fingerprint") == true)
    #expect(try failure(audio(transportLines.replacing("abcd", with: "abc"))) != nil)
    #expect(try failure(audio(transportLines), as: .answer)?.contains("active") == true)
    #expect(try failure(audio(transportLines.replacing("actpass", with: "passive")), as: .answer) == nil)
    #expect(try failure(audio(transportLines.replacing("actpass", with: "holdconn"))) != nil)
  }

  // RFC 8853 §5.2
  @Test func `simulcast names rids that exist`() throws {
    #expect(try failure(audio(transportLines, "a=rid:a send", "a=simulcast:send a")) == nil)
    #expect(try failure(audio(transportLines, "a=rid:a send", "a=simulcast:send a;b")) != nil)
    #expect(try failure(audio(transportLines, "a=rid:a recv", "a=simulcast:send a")) != nil)
  }

  // RFC 8285 §4.2
  @Test func `an extension id stands once`() throws {
    #expect(try failure(audio(transportLines, "a=extmap:1 urn:x", "a=extmap:1 urn:y")) != nil)
    #expect(try failure(audio(transportLines, "a=extmap:0 urn:x")) != nil)
  }

  // RFC 8843 §9.1
  @Test func `in a bundle an id has one meaning`() throws {
    let second = { (lines: String) in
      audio("a=mid:0", transportLines, "a=extmap:1 urn:x", "m=video 9 UDP/TLS/RTP/SAVPF 96\na=mid:1\n" + lines)
        .replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0 1")
    }
    #expect(try failure(second("a=rtpmap:96 VP8/90000\na=extmap:1 urn:x")) == nil)
    #expect(try failure(second("a=rtpmap:96 VP8/90000\na=extmap:1 urn:y"))?.contains("another meaning") == true)
    let clash = second("a=rtpmap:111 VP8/90000").replacing("SAVPF 96", with: "SAVPF 111")
    #expect(try failure(clash)?.contains("another codec") == true)
  }

  // RFC 3264 §6
  @Test func `an answer has the sections of its offer`() throws {
    let offer = try Vectors.offer("chromium-156-offer")
    var answer = offer.answerSkeleton(sessionID: 1)
    try answer.validateAnswer(to: offer)
    answer.media[1].mid = "x"
    #expect(throws: SDPError.self) { try answer.validateAnswer(to: offer) }
    answer.media.removeLast()
    #expect(throws: SDPError.self) { try answer.validateAnswer(to: offer) }
  }
}

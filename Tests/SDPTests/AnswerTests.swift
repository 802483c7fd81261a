import MartletSDP
import Testing

@Suite struct AnswerTests {
  // RFC 8829 §5.3.1
  @Test(arguments: Vectors.browsers) func `an answer mirrors the sections and the bundle`(_ name: String) throws {
    let offer = try Vectors.offer(name)
    let answer = offer.answerSkeleton(sessionID: 7)
    #expect(answer.media.map(\.kind) == offer.media.map(\.kind))
    #expect(answer.media.map(\.mid) == offer.media.map(\.mid))
    #expect(answer.media.map(\.transport) == offer.media.map(\.transport))
    #expect(answer.media.allSatisfy { $0.port == 9 })
    #expect(answer.groups == offer.groups)
    #expect(answer.media[0].hasRTCPMux && answer.media[0].direction == .sendrecv)
    #expect(try SessionDescription(answer.write()) == answer)
  }

  @Test func `directions turn round`() throws {
    let pairs: [(String, MediaDirection)] = [
      ("sendonly", .recvonly), ("recvonly", .sendonly), ("inactive", .inactive), ("sendrecv", .sendrecv),
    ]
    for (offered, answered) in pairs {
      let offer = try SessionDescription(audio("a=\(offered)"))
      #expect(offer.answerSkeleton(sessionID: 1).media[0].direction == answered)
    }
    // RFC 8866 §6.7: the session level is the default.
    let session = try SessionDescription(audio().replacing("t=0 0", with: "t=0 0\na=sendonly"))
    #expect(session.answerSkeleton(sessionID: 1).media[0].direction == .recvonly)
  }

  // RFC 8829 §5.3.1, RFC 8843 §7.3.3
  @Test func `a rejected section has port 0 and leaves the bundle`() throws {
    let offer = try Vectors.offer("chromium-156-offer")
    var answer = offer.answerSkeleton(sessionID: 1)
    answer.reject(0)
    #expect(answer.media[0].isRejected && answer.media[0].mid == "0" && answer.media[0].attributes.count == 1)
    #expect(answer.media[0].formats == offer.media[0].formats)
    #expect(answer.groups == [.bundle(["1", "2"])])
    answer.reject(1)
    answer.reject(2)
    answer.reject(3)
    #expect(answer.groups.isEmpty)
    try answer.validateForWebRTC(as: .answer)
    try answer.validateAnswer(to: offer)
  }

  @Test func `what cannot be accepted is rejected`() throws {
    let more = "m=text 9 UDP/TLS/RTP/SAVPF 98\nm=audio 9 RTP/AVP 0\nm=video 0 UDP/TLS/RTP/SAVPF 96\nm=application 9 UDP/BFCP *"
    let answer = try SessionDescription(audio("a=mid:0", more)).answerSkeleton(sessionID: 1)
    #expect(answer.media.map(\.isRejected) == [false, true, true, true, true])
  }

  // RFC 8843 §7.3.1
  @Test func `a bundle-only section is accepted with a port`() throws {
    let text = audio("a=mid:0", "m=video 0 UDP/TLS/RTP/SAVPF 96\na=mid:1\na=bundle-only")
    let answer = try SessionDescription(text.replacing("t=0 0", with: "t=0 0\na=group:BUNDLE 0 1")).answerSkeleton(sessionID: 1)
    #expect(answer.media[1].port == 9 && !answer.media[1].isBundleOnly)
  }

  // RFC 8285 §8
  @Test func `extensions are agreed by URI with the ids of the offer`() throws {
    let offered = try Vectors.offer("firefox-esr-153-offer-simulcast").media[1].extensions
    let supported: [String: MediaDirection] = [
      "urn:ietf:params:rtp-hdrext:sdes:mid": .sendrecv, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id": .recvonly,
      "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay": .recvonly, "urn:unknown": .sendrecv,
    ]
    let answer = ExtensionMap.answer(to: offered, supported: supported, allowsMixed: true)
    #expect(
      answer.map(\.description) == ["3 urn:ietf:params:rtp-hdrext:sdes:mid", "9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"])
    let far = [ExtensionMap(id: 15, uri: "urn:x"), ExtensionMap(id: 300, uri: "urn:y")]
    let both: [String: MediaDirection] = ["urn:x": .sendrecv, "urn:y": .sendrecv]
    #expect(ExtensionMap.answer(to: far, supported: both, allowsMixed: false).isEmpty)
    #expect(ExtensionMap.answer(to: far, supported: both, allowsMixed: true).map(\.id) == [15])
  }

  @Test func `an offer of 2014 is answered in kind`() throws {
    let offer = try Vectors.offer2014()
    var answer = offer.answerSkeleton(sessionID: 1)
    let form = try #require(offer.media[2].dataChannelForm)
    answer.media[2].setDataChannel(form, port: 5000, maxMessageSize: 262_144)
    let opus = RTPCodec(96, "opus", clockRate: 48000, channels: 2)
    answer.media[0].codecs = CodecNegotiation.answer(to: offer.media[0].codecs, supported: [opus])
    let text = answer.write()
    #expect(text.contains("m=application 9 DTLS/SCTP 5000\r\n"))
    #expect(text.contains("a=sctpmap:5000 webrtc-datachannel 1024\r\n"))
    #expect(text.contains("m=audio 9 RTP/SAVPF 111\r\n") && text.contains("a=group:BUNDLE audio video data\r\n"))
    #expect(!text.contains("sctp-port") && !text.contains("crypto") && answer.media[0].direction == .sendonly)
    try answer.validateAnswer(to: offer)
  }

  // RFC 8842 §5.3
  @Test func `who may choose opens the DTLS connection`() {
    #expect(SetupRole.actpass.answer == .active && SetupRole.active.answer == .passive && SetupRole.passive.answer == .active)
  }
}

import MartletSDP
import Testing

@Suite struct CodecTests {
  private let videoFeedback: [RTCPFeedback.Kind] = [.nack, .pli, .fir, .transportCC]

  private func h264(_ type: UInt8, _ profile: String, mode: Int = 1) -> RTPCodec {
    let parameters = FormatParameters("level-asymmetry-allowed=1;packetization-mode=\(mode);profile-level-id=\(profile)")
    return RTPCodec(type, "H264", clockRate: 90000, parameters: parameters, feedback: videoFeedback)
  }

  private var supported: [RTPCodec] {
    [
      RTPCodec(96, "VP8", clockRate: 90000, feedback: videoFeedback), RTPCodec(97, "rtx", clockRate: 90000, parameters: "apt=96"),
      h264(98, "42e01f"), RTPCodec(99, "rtx", clockRate: 90000, parameters: "apt=98"),
      RTPCodec(111, "opus", clockRate: 48000, channels: 2, parameters: "minptime=10;useinbandfec=1", feedback: [.transportCC]),
      RTPCodec(63, "red", clockRate: 48000, channels: 2, parameters: "111/111"),
      RTPCodec(126, "telephone-event", clockRate: 8000, parameters: "0-15"), RTPCodec(0, "PCMU", clockRate: 8000),
    ]
  }

  @Test func `codecs are read from their lines, and well-known ones from none`() throws {
    let offer = try Vectors.offer("chromium-156-offer")
    #expect(offer.media[0].codecs.map(\.payloadType) == [111, 63, 9, 0, 8, 13, 110, 126])
    #expect(offer.media[0].codecs[0] == supported[4])
    #expect(offer.media[0].codecs[1].redundantPayloadTypes == [111, 111])
    #expect(offer.media[1].codecs[1].associatedPayloadType == 96)
    let bare = try SessionDescription("v=0\no=- 1 1 IN IP4 0.0.0.0\nm=audio 9 RTP/AVP 0 8 9 77\n")
    #expect(bare.media[0].codecs.map(\.name) == ["PCMU", "PCMA", "G722"])
  }

  @Test(arguments: Vectors.browsers) func `codecs that are set are read back`(_ name: String) throws {
    for var section in try Vectors.offer(name).media where section.kind != .application {
      let codecs = section.codecs
      section.codecs = codecs
      #expect(section.codecs == codecs)
      #expect(section.formats.count == codecs.count)
    }
  }

  // RFC 3264 §6.1, RFC 4588 §8.6
  @Test func `an answer has the payload types of the offer, with RTX beside what it repairs`() throws {
    let offered = try Vectors.offer("firefox-esr-153-offer").media[1].codecs
    let answer = CodecNegotiation.answer(to: offered, supported: supported)
    #expect(answer.map(\.payloadType) == [120, 124])
    #expect(answer[0].feedback == [.nack, .pli, .fir, .transportCC])
    #expect(answer[1].associatedPayloadType == 120)
  }

  @Test func `an answer may follow either order`() throws {
    let offered = try Vectors.offer("chromium-156-offer").media[1].codecs
    let answer = CodecNegotiation.answer(to: offered, supported: supported)
    #expect(answer.map(\.payloadType) == [96, 97, 108, 109])
    let preferred = Array(supported[2...3] + supported[0...1])
    #expect(CodecNegotiation.answer(to: offered, supported: preferred, order: .answerer).map(\.payloadType) == [108, 109, 96, 97])
  }

  // RFC 2198 §5
  @Test func `RED is accepted with all that is in it`() throws {
    let offered = try Vectors.offer("chromium-156-offer").media[0].codecs
    let answer = CodecNegotiation.answer(to: offered, supported: supported)
    #expect(answer.map(\.payloadType) == [111, 63, 0, 126])
    #expect(answer[1].parameters.description == "111/111")
    let withoutOpus = supported.filter { $0.name != "opus" }
    #expect(CodecNegotiation.answer(to: offered, supported: withoutOpus).map(\.payloadType) == [0, 126])
  }

  @Test func `tones and repair alone are no answer`() {
    let offered = [RTPCodec(126, "telephone-event", clockRate: 8000, parameters: "0-15")]
    #expect(CodecNegotiation.answer(to: offered, supported: supported).isEmpty)
  }

  // RFC 6184 §8.1, table 5
  @Test(arguments: [
    ("42e01f", "42c00a", true), ("42e01f", "4d801f", true), ("42e01f", "42001f", false), ("42001f", "58801f", true),
    ("4d001f", "4d401f", true), ("4d001f", "4d801f", false), ("640c1f", "64001f", false), ("64001f", "640032", true),
    ("f4001f", "64001f", false), ("6e001f", "6e101f", false),
  ]) func `profiles are compared by their tools`(_ a: String, _ b: String, _ same: Bool) throws {
    let (first, second) = (try #require(H264ProfileLevel(a)), try #require(H264ProfileLevel(b)))
    #expect(first.isSameProfile(second) == same)
    #expect(second.isSameProfile(first) == same)
  }

  // RFC 6184 §8.2.2
  @Test func `the level is ours with asymmetry and the lower one without`() throws {
    let offered = h264(102, "42e00d")
    #expect(offered.answer(with: h264(98, "42e01f"))?.parameters["profile-level-id"] == "42e01f")
    var symmetric = offered
    symmetric.parameters["level-asymmetry-allowed"] = nil
    let answer = try #require(symmetric.answer(with: h264(98, "42e01f")))
    #expect(answer.parameters["profile-level-id"] == "42e00d" && answer.parameters["level-asymmetry-allowed"] == nil)
    #expect(answer.payloadType == 102)
    #expect(offered.answer(with: h264(98, "42e01f", mode: 0)) == nil)
    #expect(offered.answer(with: h264(98, "64001f")) == nil)
  }

  // ITU-T H.264 table A-1
  @Test func `level 1b lies between 1 and 1_1`() throws {
    let level1b = try #require(H264ProfileLevel("42f00b"))
    let level11 = try #require(H264ProfileLevel("42e00b"))
    let high1b = try #require(H264ProfileLevel("640009"))
    #expect(level11.lowered(to: level1b).description == "42f00b")
    #expect(level1b.lowered(to: level11) == level1b)
    #expect(level1b.atLevel(of: level11).description == "42e00b")
    #expect(try #require(H264ProfileLevel("64001f")).lowered(to: level1b) == high1b)
  }

  @Test func `VP9, AV1 and HEVC need one profile`() {
    func codec(_ name: String, _ parameters: String) -> RTPCodec {
      RTPCodec(100, name, clockRate: 90000, parameters: FormatParameters(parameters))
    }
    #expect(codec("VP9", "").answer(with: codec("VP9", "profile-id=0")) != nil)
    #expect(codec("VP9", "profile-id=2").answer(with: codec("VP9", "profile-id=0")) == nil)
    let av1 = codec("AV1", "level-idx=5;profile=0;tier=0").answer(with: codec("AV1", "level-idx=8;profile=0;tier=1"))
    #expect(av1?.parameters.description == "level-idx=5;profile=0;tier=0")
    #expect(codec("AV1", "profile=1").answer(with: codec("AV1", "")) == nil)
    let hevc = codec("H265", "level-id=120;profile-id=1").answer(with: codec("H265", "level-id=156;profile-id=1;tx-mode=SRST"))
    #expect(hevc?.parameters["level-id"] == "120")
    #expect(codec("H265", "profile-id=2").answer(with: codec("H265", "")) == nil)
    #expect(codec("H265", "tx-mode=MRST").answer(with: codec("H265", "")) == nil)
  }
}

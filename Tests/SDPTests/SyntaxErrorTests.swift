import MartletSDP
import Testing

@Suite struct SyntaxErrorTests {
  private func failure(_ text: String, limits: SDPLimits = SDPLimits()) -> SDPError? {
    do {
      _ = try SessionDescription(text, limits: limits)
      return nil
    } catch { return error }
  }

  private func place(_ text: String) -> [Int]? {
    guard case .syntax(let line, let column, _, _) = failure(text) else { return nil }
    return [line, column]
  }

  // RFC 8866 §5.7
  @Test func `an address type without a space behind it is told with line and column`() throws {
    let error = failure(try Vectors.text("browser-2014-offer"))
    let expected = SDPError.syntax(line: 56, column: 6, expected: "the address type IP4 or IP6", found: "IP40.0.0.0")
    #expect(error == expected)
    #expect(
      error?.description == "SDP line 56, column 6: expected the address type IP4 or IP6, found \"IP40.0.0.0\"")
  }

  // RFC 8866 §5.14
  @Test(arguments: ["70000", "-1", "", "9x", "99999999999999999999999"]) func `a port outside 0 to 65535 is refused`(_ port: String) {
    #expect(place("v=0\no=- 1 1 IN IP4 0.0.0.0\nm=audio \(port) RTP/AVP 0\n") != nil)
  }

  @Test func `a port names its column`() {
    #expect(place("v=0\no=- 1 1 IN IP4 0.0.0.0\nm=audio 70000 RTP/AVP 0\n") == [3, 9])
  }

  // RFC 8122 §5
  @Test func `a fingerprint that is cut or not hexadecimal is refused`() throws {
    #expect(place(audio("a=fingerprint:sha-256 AB:CD")) == [8, 23])
    #expect(place(audio(String(fingerprintLine.dropLast()))) == [8, 23])
    #expect(place(audio(fingerprintLine.replacing("sha-256 AB", with: "sha-256 XY"))) == [8, 23])
    #expect(place(audio(fingerprintLine.replacing(":AB", with: "AB"))) == [8, 23])
    #expect(place(audio("a=fingerprint:sha-256")) == [8, 22])
    #expect(failure(audio(fingerprintLine.lowercased())) == nil)
  }

  @Test func `what is no description says so`() {
    #expect(place("") == [1, 1])
    #expect(place("hello") == [1, 2])
    #expect(place("v=1\n") == [1, 1])
    #expect(place("v=0\n") == [2, 1])
    #expect(place("v=0\ns=-\n") == [2, 1])
    #expect(place("{\"type\":\"offer\"}") == [1, 2])
  }

  @Test(arguments: [
    "a=rtpmap:200 x/8000", "a=rtpmap:96 x", "a=rtpmap:96 x/", "a=ssrc:4294967296 cname:a", "a=ssrc:1", "a=extmap:x uri",
    "a=extmap:1/both uri", "a=setup:maybe", "a=sctp-port:70000", "a=max-message-size:x", "a=rid:a b", "a=rid:ü send",
    "a=simulcast:send", "a=simulcast:send a;", "a=simulcast:send a send b", "a=rtcp:9 IN IP5 0", "a=ptime:x", "b=AS", "b=AS:x", "x=1",
    "c=IN IP4 0.0.0.0",
    "t=0 0", "a=", "nothing",
  ]) func `a known line that breaks its grammar is refused in its place`(_ line: String) {
    #expect(place(audio(line))?.first == 8)
  }

  @Test func `every limit is kept`() {
    var limits = SDPLimits()
    limits.textBytes = 50
    #expect(failure(audio(), limits: limits) == .limit("bytes of text", maximum: 50, line: 1))
    limits = SDPLimits()
    limits.lines = 7
    #expect(failure(audio("a=x"), limits: limits) == .limit("lines", maximum: 7, line: 8))
    limits = SDPLimits()
    limits.attributes = 2
    #expect(failure(audio("a=x", "a=x"), limits: limits) == .limit("attributes of a section", maximum: 2, line: 9))
    limits = SDPLimits()
    limits.candidates = 1
    #expect(failure(audio("a=candidate:1", "a=candidate:2"), limits: limits) == .limit("candidates of a section", maximum: 1, line: 9))
    limits = SDPLimits()
    limits.mediaSections = 1
    #expect(failure(audio("m=audio 9 RTP/AVP 0"), limits: limits) == .limit("media sections", maximum: 1, line: 8))
    limits = SDPLimits()
    limits.formats = 2
    #expect(failure(audio("m=audio 9 RTP/AVP 0 8 9"), limits: limits) == .limit("formats", maximum: 2, line: 8))
  }

  @Test func `a hostile offer ends at a limit`() {
    let many = String(repeating: "a=x\n", count: 200_000)
    #expect(failure(audio(many)) == .limit("bytes of text", maximum: 262_144, line: 1))
    var limits = SDPLimits()
    (limits.textBytes, limits.attributes) = (.max, .max)
    #expect(failure(audio(many), limits: limits) == .limit("lines", maximum: 4000, line: 4001))
  }
}

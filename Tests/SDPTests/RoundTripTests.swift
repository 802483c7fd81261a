import MartletSDP
import TestSupport
import Testing

@Suite struct RoundTripTests {
  /// The lines of a text without what the grammar leaves free in these samples: line ends, blanks at the end, the blank that
  /// Chromium writes before WMS.
  private func lines(_ text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).map { line in
      var line = line
      while line.last == " " { line.removeLast() }
      return line.hasPrefix("a=msid-semantic: ") ? "a=msid-semantic:" + line.dropFirst(17) : String(line)
    }
  }

  // RFC 8866 §5
  @Test(arguments: Vectors.browsers) func `an offer of a real peer comes back line by line`(_ name: String) throws {
    let text = try Vectors.text(name)
    let written = try SessionDescription(text).write()
    #expect(lines(written) == lines(text))
    #expect(written.utf8.count(where: { $0 == 10 }) == written.utf8.count(where: { $0 == 13 }))
  }

  @Test(arguments: Vectors.browsers) func `what is written parses to the same value`(_ name: String) throws {
    let offer = try Vectors.offer(name)
    #expect(try SessionDescription(offer.write()) == offer)
  }

  // RFC 8866 §5: CRLF ends a line; parsers should accept LF.
  @Test func `both line ends mean the same`() throws {
    let text = try Vectors.text("aiortc-1.16.0-offer")
    #expect(try SessionDescription(text) == SessionDescription(text.replacing("\n", with: "\r\n")))
  }

  @Test func `attributes that nobody knows are kept in their place`() throws {
    let offer = try SessionDescription(audio("a=x-one", "a=mid:0", "a=x-two: a  b", "a=x-three:"))
    #expect(
      offer.media[0].attributes.suffix(4) == [
        .other(name: "x-one", value: nil), .mid("0"), .other(name: "x-two", value: " a  b"), .other(name: "x-three", value: ""),
      ])
    #expect(offer.write().hasSuffix("a=x-one\r\na=mid:0\r\na=x-two: a  b\r\na=x-three:\r\n"))
  }

  @Test func `session lines that nobody interprets are kept`() throws {
    let text =
      "v=0\r\no=camera one 1 2 IN IP6 ::1\r\ns=a name\r\ni=info\r\nu=http://a.example/\r\nc=IN IP6 ::1\r\nb=AS:500\r\n"
      + "t=1 2\r\nr=7d 1h 0 25h\r\nk=prompt\r\na=ice-lite\r\nm=text 0/2 RTP/AVP 98\r\ni=title\r\nc=IN IP4 224.2.1.1/127/3\r\n"
    let session = try SessionDescription(text)
    #expect(session.write() == text)
    #expect(session.origin.username == "camera one")
    #expect(session.isICELite)
    #expect(session.media[0].portCount == 2)
    #expect(session.media[0].kind == .other("text"))
  }

  // RFC 8866 §5.3
  @Test func `a session without a name has a dash`() throws {
    for line in ["s=", "s= ", "s=-"] {
      let session = try SessionDescription(audio().replacing("s=-", with: line))
      #expect(session.name == "-")
      #expect(try SessionDescription(session.write()) == session)
    }
  }

  @Test func `seeded damage to an offer never traps and what parses comes back`() throws {
    let bytes = Array(try Vectors.text("firefox-esr-153-offer-simulcast").utf8)
    for seed in 1...20 as ClosedRange<UInt64> {
      var random = SeededRandom(seed: seed)
      for _ in 0..<20 {
        var damaged = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        guard let session = try? SessionDescription(String(decoding: damaged, as: UTF8.self)) else { continue }
        #expect(try SessionDescription(session.write()) == session, "seed \(seed)")
        try? session.validateForWebRTC(as: .offer)
        _ = session.answerSkeleton(sessionID: 1)
      }
    }
  }

  @Test func `a text cut anywhere is refused or parses, and never traps`() throws {
    let text = try Vectors.text("chromium-156-offer-simulcast")
    for length in stride(from: 0, to: text.utf8.count, by: 7) {
      let cut = String(decoding: text.utf8.prefix(length), as: UTF8.self)
      if let session = try? SessionDescription(cut) { _ = session.media.map(\.codecs) }
    }
  }
}

import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// Every small parser, fed what a peer could send.
@Suite struct GarbageTests {
  static let samples = [
    "http://user:pw@[2001:db8::1]:8080/a/%2e%2e/b?token=x&y=%zz#f", "rtmp://host/app/name?key=1", "/live/cam%20x.flv?a=1&b=+",
    "bytes=0-1,-5,7-",
    "bytes 0-9/100", "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "gzip;q=0.5, br, *;q=0",
    "W/\"abc\", \"d,e\\\"\"", "é/\u{301}/..\u{301}/?\u{301}",
  ]

  func feed(_ text: String) {
    let now = WallTime(milliseconds: 0)
    _ = try? HTTPTarget(text)
    _ = try? HTTPTarget(text, method: .connect)
    _ = try? HTTPTarget(text, method: .options)
    if let url = URLReference(text) {
      _ = url.description
      _ = url.resolving(text)
      // What was read is written so that it reads the same.
      #expect(URLReference(url.serialized)?.serialized == url.serialized, "\(text)")
    }
    _ = URLReference("http://a/b/c")?.resolving(text)
    _ = ByteRange.select(text, length: 1000)
    _ = ByteRange.parseContentRange(text)
    _ = HTTPDate.parse(text, now: now)
    _ = AcceptEncoding.choose(["Accept-Encoding": text])
    _ = EntityTag(parsing: text)
    _ = QueryItems(parsing: text).encoded
    _ = Redaction.query(text)
    let fields: HTTPFields = [
      "If-Match": text, "If-None-Match": text, "If-Modified-Since": text, "Range": text, "If-Range": text, "Connection": text,
    ]
    guard let target = try? HTTPTarget("/") else { return }
    let request = HTTPRequest(target: target, fields: fields)
    _ = request.evaluateConditions(on: Representation(length: 10, etag: EntityTag("x"), lastModified: now), now: now)
    _ = request.isKeepAlive
  }

  @Test func `cut off anywhere nothing traps`() {
    for sample in Self.samples {
      let bytes = Array(sample.utf8)
      for count in 0...bytes.count { feed(String(decoding: bytes[..<count], as: UTF8.self)) }
    }
  }

  @Test func `changed at random nothing traps`() {
    var random = SeededRandom(seed: 31)
    for round in 0..<6000 {
      var bytes = Array(Self.samples[round % Self.samples.count].utf8)
      for _ in 0...(round % 4) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      feed(String(decoding: bytes, as: UTF8.self))
    }
  }

  @Test func `a request cut off anywhere waits for the rest`() throws {
    let text = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
    for count in 0..<text.utf8.count {
      let events = try parseRequests(Array(text.utf8.prefix(count)))
      #expect(!events.contains { if case .end = $0 { true } else { false } })
    }
  }

  @Test func `damaged compressed data is an error and no trap`() {
    var random = SeededRandom(seed: 17)
    let packed = Deflater.compress((0..<2000).map { UInt8(truncatingIfNeeded: $0 &* $0) })
    for _ in 0..<2000 {
      var bytes = packed
      for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      if let out = try? Inflater.decompress(bytes, maximum: 3000) { #expect(out.count <= 3000) }
    }
    for count in 0..<packed.count {
      #expect(throws: ParseError.self) { _ = try Inflater.decompress(Array(packed[..<count]), maximum: 3000) }
    }
  }
}

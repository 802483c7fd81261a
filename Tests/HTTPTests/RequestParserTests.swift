import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// Feeds `text` in pieces of `step` bytes and collects what comes out, over as many messages as there are.
func parseRequests(_ text: String, step: Int = .max, limits: HTTP1Limits = HTTP1Limits()) throws -> [RequestParser.Event] {
  try parseRequests(Array(text.utf8), step: step, limits: limits)
}

func parseRequests(_ bytes: [UInt8], step: Int = .max, limits: HTTP1Limits = HTTP1Limits()) throws -> [RequestParser.Event] {
  var parser = RequestParser(limits: limits)
  var events: [RequestParser.Event] = []
  var offset = 0
  while offset < bytes.count {
    let end = min(bytes.count, step == .max ? .max : offset + step)
    offset += try parser.receive(bytes.span.bytes.extracting(offset..<end))
    while let event = parser.pollEvent() { events.append(event) }
  }
  return events
}

func refusal(_ text: String, limits: HTTP1Limits = HTTP1Limits()) -> Int? {
  do {
    _ = try parseRequests(text, limits: limits)
    return nil
  } catch {
    return (error as? HTTPError)?.status.code
  }
}

/// Content pieces joined, so that runs with different pieces compare.
func joined(_ events: [RequestParser.Event]) -> [RequestParser.Event] {
  var result: [RequestParser.Event] = []
  for event in events {
    if case .body(let more) = event, case .body(let before)? = result.last {
      result[result.count - 1] = .body(Slice(before.array + more.array))
    } else {
      result.append(event)
    }
  }
  return result
}

@Suite struct RequestParserTests {
  static let chunked = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

  @Test func `a request without content is a head and an end`() throws {
    let events = try parseRequests("GET /live/cam.flv?a=1&b=%20x HTTP/1.1\r\nHost: example.org:8080\r\nAccept:  */* \r\n\r\n")
    guard case .head(let request, .none) = events.first else { throw HTTPError(.badRequest, "no head") }
    #expect(request.method == .get && request.target.segments == ["live", "cam.flv"])
    #expect(request.target.query.first("b") == " x" && request.fields.first("ACCEPT") == "*/*")
    #expect(request.isKeepAlive && request.authority == "example.org:8080")
    #expect(events.last == .end(trailers: [:]) && events.count == 2)
  }

  // RFC 9112 §9.3.2, and the contract of `receive`.
  @Test func `pipelined requests come out the same however they are cut`() throws {
    let text =
      "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" + Self.chunked
      + "5;x=\"y\"\r\nhello\r\n06 ;z\r\n world\r\n0\r\nX-Sum: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n"
    let whole = joined(try parseRequests(text))
    #expect(whole.count == 8)
    #expect(whole[1] == .body(Slice(Array("hello".utf8))) && whole[4] == .body(Slice(Array("hello world".utf8))))
    #expect(whole[5] == .end(trailers: ["X-Sum": "1"]))
    for step in 1...text.utf8.count { #expect(joined(try parseRequests(text, step: step)) == whole) }
  }

  @Test func `bytes behind an upgrade stay with the caller`() throws {
    var parser = RequestParser()
    let head = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    let bytes = Array(head.utf8) + [0x81, 0x80]
    let taken = try parser.receive(bytes.span.bytes)
    #expect(taken == head.utf8.count)
    guard case .head(let request, _)? = parser.pollEvent() else { throw HTTPError(.badRequest, "no head") }
    #expect(request.asksUpgrade(to: "websocket") && !request.asksUpgrade(to: "h2c"))
  }

  @Test func `Expect is reported in HTTP 1.1 only`() throws {
    for (version, expected) in [("1.1", true), ("1.0", false)] {
      let events = try parseRequests("PUT /f HTTP/\(version)\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
      guard case .head(let request, .length(1))? = events.first else { throw HTTPError(.badRequest, "no head") }
      #expect(request.expectsContinue == expected)
    }
  }

  @Test(arguments: [
    ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false), ("HTTP/1.0", "", false),
    ("HTTP/1.0", "Connection: Keep-Alive\r\n", true), ("HTTP/1.1", "Connection: foo, CLOSE\r\n", false),
  ])
  func `keep-alive follows version and Connection`(version: String, field: String, kept: Bool) throws {
    let events = try parseRequests("GET / \(version)\r\nHost: h\r\n\(field)\r\n")
    guard case .head(let request, _)? = events.first else { throw HTTPError(.badRequest, "no head") }
    #expect(request.isKeepAlive == kept)
  }

  // RFC 9112 §3.2, §5, §6, §11.2: each of these is read differently by somebody.
  @Test(arguments: [
    ("conflicting Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    ("repeated Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    ("a list as Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello"),
    ("a signed Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\nhello"),
    ("a negative Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"),
    ("a hexadecimal Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello"),
    ("an empty Content-Length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"),
    ("a Content-Length beyond 64 bits", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551617\r\n\r\n"),
    ("CL with TE", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE with CL", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("TE gzip, chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("TE identity", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"),
    ("TE xchunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("TE with a quoted value", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    ("TE twice", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("TE with a vertical tab", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n0\r\n\r\n"),
    ("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a bare line feed in the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n"),
    ("a bare line feed behind a field", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
    ("a bare line feed as the empty line", "GET / HTTP/1.1\r\nHost: h\r\n\n"),
    ("a bare carriage return in a field", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"),
    ("a doubled carriage return", "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"),
    ("obs-fold with a space", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
    ("obs-fold with a tab", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n"),
    ("white space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    ("white space before the colon", "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
    ("a tab before the colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 5\r\n\r\nhello"),
    ("a field without a colon", "GET / HTTP/1.1\r\nHost: h\r\nfoo\r\n\r\n"),
    ("an empty field name", "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0}b\r\n\r\n"),
    ("DEL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{7F}b\r\n\r\n"),
    ("a NUL in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\u{0}: b\r\n\r\n"),
    ("a repeated Host", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n"),
    ("a repeated Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n"),
    ("no Host", "GET / HTTP/1.1\r\n\r\n"),
    ("a Host with a path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    ("a Host with user information", "GET / HTTP/1.1\r\nHost: a@h\r\n\r\n"),
    ("a list as Host", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("a Host with a port out of range", "GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n"),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a space behind the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"),
    ("no version", "GET /\r\nHost: h\r\n\r\n"),
    ("a version in lower case", "GET / http/1.1\r\nHost: h\r\n\r\n"),
    ("a method that is no token", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a fragment in the target", "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ("a chunk size that is not hexadecimal", chunked + "g\r\n"),
    ("a chunk size with 0x", chunked + "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a sign", chunked + "+5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a space behind it", chunked + "5 \r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a space before it", chunked + " 5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size beyond 60 bits", chunked + "1000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a bare line feed", chunked + "5\nhello\r\n0\r\n\r\n"),
    ("a chunk extension with a bare carriage return", chunked + "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a chunk longer than its size", chunked + "4\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that ends with a bare line feed", chunked + "5\r\nhello\n0\r\n\r\n"),
    ("Content-Length in trailers", chunked + "0\r\nContent-Length: 5\r\n\r\n"),
    ("Transfer-Encoding in trailers", chunked + "0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("obs-fold in trailers", chunked + "0\r\nA: b\r\n c\r\n\r\n"),
    ("TLS on a plain port", "\u{16}\u{3}\u{1}\u{2}\u{0}"),
  ])
  func `refused with 400`(what: String, text: String) { #expect(refusal(text) == 400, "\(what)") }

  @Test(arguments: ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/3.0"])
  func `an unknown version is 505`(version: String) { #expect(refusal("GET / \(version)\r\nHost: h\r\n\r\n") == 505) }

  @Test func `a request line beyond its limit is 414 before it ends`() {
    #expect(refusal("GET /" + String(repeating: "a", count: 9000)) == 414)
    #expect(refusal("GET /" + String(repeating: "a", count: 8100) + " HTTP/1.1\r\nHost: h\r\n\r\n") == nil)
  }

  @Test func `too many or too long fields are 431`() {
    let many = String(repeating: "X: y\r\n", count: 100)
    #expect(refusal("GET / HTTP/1.1\r\nHost: h\r\n\(many)\r\n") == 431)
    #expect(refusal("GET / HTTP/1.1\r\nHost: h\r\nX: " + String(repeating: "a", count: 33000)) == 431)
    let long = String(repeating: "X: " + String(repeating: "a", count: 1000) + "\r\n", count: 40)
    #expect(refusal("GET / HTTP/1.1\r\nHost: h\r\n\(long)\r\n") == 431)
  }

  @Test func `chunk extensions and trailers are limited`() {
    #expect(refusal(Self.chunked + "5;" + String(repeating: "a", count: 300)) == 400)
    let chunk = "1;" + String(repeating: "a", count: 200) + "\r\nx\r\n"
    #expect(refusal(Self.chunked + String(repeating: chunk, count: 100)) == 400)
    #expect(refusal(Self.chunked + "0\r\nX: " + String(repeating: "a", count: 9000)) == 431)
  }

  @Test func `an error is final`() throws {
    var parser = RequestParser()
    let (bad, good) = (Array("GET\r\n".utf8), Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
    #expect(throws: HTTPError.self) { _ = try parser.receive(bad.span.bytes) }
    #expect(throws: HTTPError.self) { _ = try parser.receive(good.span.bytes) }
    let event = parser.pollEvent()
    #expect(event == nil)
  }

  @Test func `random bytes never trap and are never accepted beyond what was given`() {
    var random = SeededRandom(seed: 7)
    let seeds = [Self.chunked + "5\r\nhello\r\n0\r\n\r\n", "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"].map {
      Array($0.utf8)
    }
    for round in 0..<4000 {
      var bytes = round % 4 == 0 ? (0..<60).map { _ in UInt8.random(in: 0...255, using: &random) } : seeds[round % 2]
      for _ in 0..<(round % 4) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      _ = try? parseRequests(bytes, step: 1 + round % 17)
    }
  }
}

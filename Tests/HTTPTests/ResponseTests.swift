import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

func parseResponses(_ bytes: [UInt8], to methods: [HTTPMethod], step: Int = .max, ends: Bool = false) throws -> [ResponseParser.Event] {
  var parser = ResponseParser()
  for method in methods { parser.expect(responseTo: method) }
  var events: [ResponseParser.Event] = []
  var offset = 0
  while offset < bytes.count {
    let end = min(bytes.count, step == .max ? .max : offset + step)
    let taken = try parser.receive(bytes.span.bytes.extracting(offset..<end))
    offset += taken
    while let event = parser.pollEvent() {
      if case .body(let more) = event, case .body(let before)? = events.last {
        events[events.count - 1] = .body(Slice(before.array + more.array))
      } else {
        events.append(event)
      }
    }
    if taken == 0 { break }
  }
  if ends { try parser.receiveEnd() }
  while let event = parser.pollEvent() { events.append(event) }
  return events
}

@Suite struct ResponseTests {
  let date = "Sun, 06 Nov 1994 08:49:37 GMT"

  func request(_ method: HTTPMethod = .get, _ version: HTTPVersion = .http11, _ fields: HTTPFields = [:]) throws -> HTTPRequest {
    HTTPRequest(method: method, target: try HTTPTarget("/"), version: version, fields: fields)
  }

  // RFC 9112 §6.3: what has a body and how it ends.
  @Test func `responses come out the same however they are cut`() throws {
    let text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200\r\nContent-Length: 9\r\n\r\n"
      + "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
      + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.0 200 OK\r\n\r\nto the end"
    let methods: [HTTPMethod] = [.get, .head, .get, .get, .get, .get]
    let whole = try parseResponses(Array(text.utf8), to: methods, ends: true)
    #expect(whole.count == 16)
    guard case .informational(let first) = whole[0], case .head(_, .none) = whole[4] else { throw HTTPError(.badGateway, "order") }
    #expect(first.status == .continue && whole[14] == .body(Slice(Array("to the end".utf8))) && whole[15] == .end(trailers: [:]))
    for step in 1...60 { #expect(try parseResponses(Array(text.utf8), to: methods, step: step, ends: true) == whole) }
  }

  @Test(arguments: [
    "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\n\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "HTTP/1.1 200 O", "",
  ])
  func `a bad or unfinished response is 502`(text: String) {
    do {
      _ = try parseResponses(Array(text.utf8), to: [.get], ends: true)
      Issue.record("accepted")
    } catch {
      #expect((error as? HTTPError)?.status == .badGateway)
    }
  }

  @Test func `101 and CONNECT leave the rest to the new protocol`() throws {
    let events = try parseResponses(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{1}\u{2}".utf8), to: [.get])
    guard case .switched? = events.last else { throw HTTPError(.badGateway, "not switched") }
    let tunnel = try parseResponses(Array("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".utf8), to: [.connect])
    #expect(tunnel.count == 1)
  }

  @Test func `a response that nobody asked for is refused`() {
    #expect(throws: HTTPError.self) { _ = try parseResponses(Array("HTTP/1.1 200 OK\r\n\r\n".utf8), to: []) }
  }

  @Test func `a head that was written is read back`() throws {
    var writer = ResponseWriter(respondingTo: try request())
    let head = writer.head(HTTPResponse(.ok, ["Content-Type": "text/plain", "content-length": "99"]), body: .length(2), date: date)
    #expect(
      String(decoding: head, as: UTF8.self) == "HTTP/1.1 200 OK\r\nDate: \(date)\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\n")
    #expect(writer.sendsBody && !writer.closesConnection)
    let events = try parseResponses(head + Array("hi".utf8), to: [.get])
    #expect(events.count == 3)
  }

  @Test func `a value cannot end its line`() throws {
    var writer = ResponseWriter(respondingTo: try request())
    let head = writer.head(HTTPResponse(.ok, ["Location": "/a\r\nSet-Cookie: x", "Bad\r\nName": "y"]), body: .none, date: date)
    let text = String(decoding: head, as: UTF8.self)
    #expect(text.contains("Location: /a  Set-Cookie: x\r\n") && !text.contains("Name"))
  }

  @Test func `streams are chunked in 1 1 and end with the connection in 1 0`() throws {
    var modern = ResponseWriter(respondingTo: try request())
    let chunked = modern.head(HTTPResponse(.ok), body: .chunked, date: date)
    #expect(modern.isChunked && !modern.closesConnection)
    let wire = chunked + HTTP1.chunkStart(26) + Array(repeating: 65, count: 26) + HTTP1.chunkEnd + HTTP1.lastChunk(trailers: ["X": "1"])
    #expect(try parseResponses(wire, to: [.get]).last == .end(trailers: ["X": "1"]))
    var old = ResponseWriter(respondingTo: try request(.get, .http10, ["Connection": "keep-alive"]))
    let head = old.head(HTTPResponse(.ok), body: .chunked, date: date)
    #expect(!old.isChunked && old.closesConnection && String(decoding: head, as: UTF8.self).contains("Connection: close"))
    var kept = ResponseWriter(respondingTo: try request(.get, .http10, ["Connection": "keep-alive"]))
    let keptHead = kept.head(HTTPResponse(.ok), body: .length(1), date: date)
    #expect(String(decoding: keptHead, as: UTF8.self).contains("Connection: keep-alive") && !kept.closesConnection)
  }

  // RFC 9110 §8.6, §9.3.2.
  @Test func `HEAD keeps the length without the content, 204 and 304 have neither`() throws {
    var head = ResponseWriter(respondingTo: try request(.head))
    let bytes = head.head(HTTPResponse(.ok), body: .length(7), date: date)
    #expect(String(decoding: bytes, as: UTF8.self).contains("Content-Length: 7") && !head.sendsBody)
    for status in [HTTPStatus.noContent, .notModified] {
      var writer = ResponseWriter(respondingTo: try request())
      let bytes = writer.head(HTTPResponse(status), body: .length(7), date: date)
      #expect(!String(decoding: bytes, as: UTF8.self).contains("Content-Length") && !writer.sendsBody)
    }
  }

  @Test func `an upgrade keeps its Connection field and has no framing`() throws {
    var writer = ResponseWriter(respondingTo: try request())
    let bytes = writer.head(
      HTTPResponse(.switchingProtocols, ["Upgrade": "websocket", "Connection": "Upgrade"]), body: .none, date: date)
    #expect(
      String(decoding: bytes, as: UTF8.self) == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
  }

  @Test func `a request that was written is read back`() throws {
    var original = try request(.post, .http11, ["Host": "h:81", "X-A": "b"])
    original.target = try HTTPTarget("/a%20b?c=d")
    let bytes = RequestWriter.head(original, body: .length(3)) + [1, 2, 3]
    let events = try parseRequests(bytes)
    guard case .head(let read, .length(3))? = events.first else { throw HTTPError(.badRequest, "no head") }
    #expect(
      read.target == original.target && read.method == .post && read.fields.first("Host") == "h:81" && read.fields.first("x-a") == "b")
  }

  @Test func `random bytes never trap the response parser`() {
    var random = SeededRandom(seed: 11)
    let seed = Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".utf8)
    for round in 0..<3000 {
      var bytes = seed
      for _ in 0..<(1 + round % 4) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      _ = try? parseResponses(bytes, to: [.get], step: 1 + round % 13, ends: true)
    }
  }
}

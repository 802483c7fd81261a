import MartletHTTP
import MartletPrimitives

/// HTTP/1, HTTP/2, WebSocket, and the small grammars inside of them.
extension FuzzEntry {
  static let http = [requests, responses, target, fields, webSocket, webSocketDeflate, webSocketHandshake, http2, eventStream]

  private static let requestText =
    "POST /live/cam.flv?token=a%20b HTTP/1.1\r\nHost: h:8080\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrail: 1\r\n\r\n"
    + "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nPUT /f HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"

  private static let requests = FuzzEntry("http1-request", seeds: [Array(requestText.utf8)]) { bytes in
    var limits = HTTP1Limits()
    (limits.startLine, limits.fieldBytes, limits.fields) = (512, 1024, 20)
    let whole = events(bytes, [bytes[...]], limits)
    require(whole == events(bytes, pieces(bytes), limits), "requests that depend on how the bytes were cut")
    for case .head(let request, let body) in whole.events {
      let head = RequestWriter.head(request, body: body)
      let again = events(head, [head[...]], HTTP1Limits())
      guard case .head(let second, _)? = again.events.first else { preconditionFailure("a request that cannot be read back") }
      require(second.method == request.method && second.target == request.target, "a request that reads differently")
      var writer = ResponseWriter(respondingTo: request)
      _ = writer.head(HTTPResponse(.ok), body: .chunked, date: "")
    }
  }

  private struct Outcome: Equatable {
    var events: [RequestParser.Event] = []
    var error: HTTPError?
  }

  /// Content is joined, so that pieces make no difference.
  private static func events(_ bytes: [UInt8], _ pieces: [ArraySlice<UInt8>], _ limits: HTTP1Limits) -> Outcome {
    var parser = RequestParser(limits: limits)
    var outcome = Outcome()
    for piece in pieces {
      var offset = 0
      while offset < piece.count, outcome.error == nil {
        do throws(HTTPError) {
          let taken = try parser.receive(piece.span.bytes.extracting(offset..<piece.count))
          require(taken > 0 && taken <= piece.count - offset, "a parser that takes nothing, or more than there is")
          offset += taken
        } catch { outcome.error = error }
        while let event = parser.pollEvent() {
          if case .body(let more) = event, case .body(let before)? = outcome.events.last {
            outcome.events[outcome.events.count - 1] = .body(Slice(before.array + more.array))
          } else {
            outcome.events.append(event)
          }
        }
      }
    }
    return outcome
  }

  private static let responseText =
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n"
    + "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nxyz"

  private static let responses = FuzzEntry("http1-response", seeds: [Array(responseText.utf8)]) { bytes in
    var parser = ResponseParser()
    for method in [HTTPMethod.get, .head, .get, .connect] { parser.expect(responseTo: method) }
    var content = 0
    for piece in pieces(bytes) {
      var offset = 0
      while offset < piece.count {
        guard let taken = try? parser.receive(piece.span.bytes.extracting(offset..<piece.count)) else { return }
        require(taken <= piece.count - offset, "more taken than there is")
        while let event = parser.pollEvent() { if case .body(let part) = event { content += part.count } }
        if taken == 0 { break }
        offset += taken
      }
    }
    require(content <= bytes.count, "content out of nothing")
    try? parser.receiveEnd()
  }

  private static let target = FuzzEntry(
    "http-target", seeds: ["/live/cam%20x.flv?a=1&b=%zz", "http://[::1]:80/a/../b", "*", "host:443"].map { Array($0.utf8) }
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    for method in [HTTPMethod.get, .connect, .options] {
      guard let target = try? HTTPTarget(text, method: method) else { continue }
      require(!target.segments.contains { $0 == ".." || $0.contains("/") || $0.contains("\0") }, "a segment that leaves its folder")
      guard let again = try? HTTPTarget(target.serialized, method: method) else { preconditionFailure("a target that cannot be read back") }
      require(again.segments == target.segments && again.rawQuery == target.rawQuery, "a target that reads differently")
      _ = target.query
      _ = target.description
    }
    if let url = URLReference(text) {
      require(URLReference(url.serialized)?.serialized == url.serialized, "a URL that reads differently")
      _ = url.resolving(text)
    }
  }

  private static let fields = FuzzEntry(
    "http-fields",
    seeds: ["bytes=0-1,-5,7-", "bytes 0-9/100", "Sun, 06 Nov 1994 08:49:37 GMT", "gzip;q=0.5, br, *;q=0", "W/\"abc\", \"d\""].map {
      Array($0.utf8)
    }
  ) { bytes in
    let text = String(decoding: bytes, as: UTF8.self)
    let now = WallTime(milliseconds: 1_795_000_000_000)
    _ = ByteRange.parseContentRange(text)
    if let date = HTTPDate.parse(text, now: now) { require(HTTPDate.parse(HTTPDate.format(date), now: now) != nil, "a date that is lost") }
    _ = AcceptEncoding.choose(["Accept-Encoding": text])
    _ = QueryItems(parsing: text).encoded
    _ = Redaction.query(text)
    let fields: HTTPFields = ["If-Match": text, "If-None-Match": text, "If-Modified-Since": text, "Range": text, "If-Range": text]
    guard let target = try? HTTPTarget("/") else { return }
    let request = HTTPRequest(target: target, fields: fields)
    let representation = Representation(length: 10, etag: EntityTag("x"), lastModified: now)
    if case .part(let range) = request.evaluateConditions(on: representation, now: now) {
      require(range.lowerBound >= 0 && range.upperBound <= 10 && !range.isEmpty, "a range outside of the content")
    }
  }

  private static var webSocketSeed: [UInt8] {
    var client = WebSocketMachine(.client(maskSeed: [UInt8](repeating: 7, count: 32)))
    var bytes = client.encode(.text, Array("hel".utf8).span.bytes, fin: false)
    bytes += client.encode(.ping, Array("p".utf8).span.bytes)
    bytes += client.encode(.continuation, Array("lo ü".utf8).span.bytes)
    bytes += client.encode(.binary, [UInt8](repeating: 1, count: 300).span.bytes)
    return bytes + client.encode(.close, [3, 232, 0x62].span.bytes)
  }

  private static let webSocket = FuzzEntry("websocket", seeds: [webSocketSeed]) { bytes in
    var limits = WebSocketMachine.Limits()
    (limits.frame, limits.message, limits.fragments) = (1024, 2048, 16)
    let whole = messages(.server, [bytes[...]], limits)
    require(whole == messages(.server, pieces(bytes), limits), "messages that depend on how the bytes were cut")
    for case .message(let kind, let payload) in whole {
      require(payload.count <= limits.message, "a message beyond the limit")
      if kind == .text { require(String(validating: payload.bytes) != nil, "text that is not UTF-8") }
    }
    _ = messages(.client(maskSeed: [UInt8](repeating: 7, count: 32)), pieces(bytes), limits)
  }

  private static func messages(
    _ role: WebSocketMachine.Role, _ pieces: [ArraySlice<UInt8>], _ limits: WebSocketMachine.Limits
  ) -> [WebSocketMachine.Event] {
    var machine = WebSocketMachine(role, limits: limits)
    var events: [WebSocketMachine.Event] = []
    for piece in pieces where !machine.isClosed {
      var offset = 0
      while offset < piece.count, let taken = try? machine.receive(piece.span.bytes.extracting(offset..<piece.count), into: &events) {
        offset += taken
      }
      _ = machine.takeOutput()
    }
    return events
  }

  private static var http2Seed: [UInt8] {
    let client = HTTP2Session(.client)
    if let target = try? HTTPTarget("/live/cam.flv?x=1", authority: "h") {
      _ = client.request(HTTPRequest(target: target, version: .http2, fields: ["user-agent": "x"]), ends: true)
      if let id = client.request(HTTPRequest(method: .post, target: target, version: .http2), ends: false) {
        client.write(id, [1, 2, 3])
        client.end(id)
      }
    }
    return client.takeOutput()
  }

  private static let http2 = FuzzEntry("http2", seeds: [http2Seed]) { bytes in
    let session = HTTP2Session(.server)
    var now = Instant.zero
    for piece in pieces(bytes) {
      now = now + .milliseconds(1)
      let succeeds = (try? session.receive(piece.span.bytes, now: now)) != nil
      while let event = session.pollEvent() {
        switch event {
        case .request(let id, _, _):
          session.respond(id, HTTPResponse(.ok), ends: false)
          session.write(id, [1, 2, 3])
        case .data(let id, let data): session.consume(id, data.count)
        case .end(let id, _): session.end(id)
        case .refused, .response, .writable, .finished, .reset, .goAway: break
        }
      }
      _ = session.takeOutput()
      require(session.openStreams <= HTTP2Limits().concurrentStreams, "more streams than announced")
      if !succeeds { break }
    }
  }
}

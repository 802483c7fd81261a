import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// A client and a server that talk in memory.
struct HTTP2Pair {
  let client: HTTP2Session
  let server: HTTP2Session
  var atClient: [HTTP2Session.Event] = []
  var atServer: [HTTP2Session.Event] = []
  var now = Instant.zero

  init(_ limits: HTTP2Limits = HTTP2Limits(), client: HTTP2Limits = HTTP2Limits()) {
    server = HTTP2Session(.server, limits: limits)
    self.client = HTTP2Session(.client, limits: client)
  }

  /// Carries bytes both ways until both are silent; events gather.
  mutating func run(step: Int = .max) throws {
    var moved = true
    while moved {
      let (up, down) = (client.takeOutput(), server.takeOutput())
      try Self.feed(server, up, step, now)
      try Self.feed(client, down, step, now)
      while let event = server.pollEvent() { atServer.append(event) }
      while let event = client.pollEvent() { atClient.append(event) }
      moved = !up.isEmpty || !down.isEmpty
    }
  }

  static func feed(_ session: HTTP2Session, _ bytes: [UInt8], _ step: Int, _ now: Instant) throws {
    var offset = 0
    while offset < bytes.count {
      let end = step == .max ? bytes.count : min(bytes.count, offset + step)
      try session.receive(bytes.span.bytes.extracting(offset..<end), now: now)
      offset = end
    }
  }

  static func request(_ path: String, _ method: HTTPMethod = .get, _ fields: HTTPFields = [:]) throws -> HTTPRequest {
    HTTPRequest(method: method, target: try HTTPTarget(path, authority: "example.org:8443"), version: .http2, fields: fields)
  }

  func content(_ events: [HTTP2Session.Event]) -> [UInt8] {
    events.flatMap { event -> [UInt8] in if case .data(_, let slice) = event { slice.array } else { [] } }
  }
}

@Suite struct HTTP2Tests {
  @Test(arguments: [1, 5, 1000, Int.max])
  func `a request and its response pass in every cut`(step: Int) throws {
    var pair = HTTP2Pair()
    let fields: HTTPFields = ["Content-Length": "5", "Cookie": "a=1", "cookie": "b=2", "X-Bad": "a\r\nb", "Connection": "close"]
    let id = try #require(pair.client.request(try HTTP2Pair.request("/live/c%C3%A4m?x=1", .post, fields), ends: false))
    #expect(pair.client.write(id, Slice(Array("hello".utf8))))
    pair.client.end(id)
    try pair.run(step: step)
    guard case .request(id, let request, .length(5))? = pair.atServer.first else { throw HTTP2Error("\(pair.atServer)") }
    #expect(request.method == .post && request.target.segments == ["live", "cäm"] && request.authority == "example.org:8443")
    #expect(
      request.fields.all("Cookie") == ["a=1; b=2"] && request.fields.first("x-bad") == "a  b" && !request.fields.contains("Connection"))
    #expect(pair.content(pair.atServer) == Array("hello".utf8) && pair.atServer.contains(.end(id, trailers: [:])) && request.isKeepAlive)
    pair.server.consume(id, 5)
    pair.server.respond(id, HTTPResponse(103, ["Link": "</a>"]), ends: false)
    pair.server.respond(id, HTTPResponse(.ok, ["Content-Type": "text/plain", "Transfer-Encoding": "chunked"]), ends: false)
    #expect(pair.server.write(id, [1, 2, 3]))
    try pair.run(step: step)
    #expect(pair.server.write(id, [4]))
    pair.server.end(id, trailers: ["X-Sum": "9"])
    try pair.run(step: step)
    let head = HTTPResponse(.ok, ["content-type": "text/plain"], version: .http2)
    #expect(pair.atClient.first == .response(id, HTTPResponse(103, ["link": "</a>"], version: .http2), body: .chunked))
    #expect(pair.atClient.contains(.response(id, head, body: .chunked)) && pair.content(pair.atClient) == [1, 2, 3, 4])
    #expect(pair.atClient.suffix(2) == [.end(id, trailers: ["x-sum": "9"]), .finished(id)] && pair.atServer.last == .finished(id))
    #expect(pair.server.openStreams == 0 && pair.client.openStreams == 0)
  }

  // RFC 9113 §5.2: credit comes back when the application consumes, and only then.
  @Test func `the peer stops at the window until content is consumed`() throws {
    var limits = HTTP2Limits()
    limits.streamWindow = 20_000
    var pair = HTTP2Pair(limits)
    try pair.run()
    let id = try #require(pair.client.request(try HTTP2Pair.request("/", .put), ends: false))
    let payload = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    #expect(pair.client.write(id, Slice(payload)))
    pair.client.end(id)
    try pair.run()
    #expect(pair.content(pair.atServer).count == 20_000)
    var consumed = 0
    while consumed < payload.count {
      let count = pair.content(pair.atServer).count
      pair.server.consume(id, count - consumed)
      consumed = count
      try pair.run()
      #expect(pair.content(pair.atServer).count <= consumed + 20_000)
      if pair.content(pair.atServer).count == consumed, consumed < payload.count { throw HTTP2Error("stuck at \(consumed)") }
    }
    #expect(pair.content(pair.atServer) == payload && pair.atServer.last == .end(id, trailers: [:]))
  }

  @Test func `content that nobody consumed does not fill the connection for ever`() throws {
    var limits = HTTP2Limits()
    limits.connectionWindow = 70_000
    var pair = HTTP2Pair(limits)
    try pair.run()
    for _ in 0..<5 {
      let id = try #require(pair.client.request(try HTTP2Pair.request("/", .put), ends: false))
      #expect(pair.client.write(id, Slice([UInt8](repeating: 0, count: 60_000))))
      try pair.run()
      pair.atServer = pair.atServer.filter { if case .data(id, _) = $0 { true } else { false } }
      #expect(pair.content(pair.atServer).count == 60_000)
      pair.server.reset(id)
      try pair.run()
      pair.server.consume(id, 60_000)
    }
  }

  @Test func `a full outbox says stop, and when there is room`() throws {
    var limits = HTTP2Limits()
    limits.outbox = 100_000
    var pair = HTTP2Pair(limits)
    let id = try #require(pair.client.request(try HTTP2Pair.request("/"), ends: true))
    try pair.run()
    pair.server.respond(id, HTTPResponse(.ok), ends: false)
    let block = Slice([UInt8](repeating: 7, count: 60_000))
    #expect(pair.server.write(id, block) && !pair.server.write(id, block) && pair.server.queued(id) == 120_000 && pair.server.room(id) == 0)
    try pair.run()
    #expect(pair.atServer.contains(.writable(id)) && pair.server.queued(id) == 0 && pair.server.room(id) == 100_000)
    // The client consumes nothing, so its window fills and the outbox with it.
    var taken = 120_000
    var keepsUp = true
    while keepsUp {
      keepsUp = pair.server.write(id, block)
      taken += block.count
      try pair.run()
    }
    #expect(taken <= 256 * 1024 + 220_000 && pair.server.queued(id) > 0)
    pair.atServer = []
    while pair.content(pair.atClient).count < taken {
      let before = pair.content(pair.atClient).count
      pair.client.consume(id, 1 << 30)
      try pair.run()
      guard pair.content(pair.atClient).count > before else { break }
    }
    #expect(pair.content(pair.atClient).count == taken && pair.atServer.contains(.writable(id)))
    #expect(!pair.server.write(99, block))
  }

  @Test func `output is taken in pieces and the rest waits`() throws {
    var pair = HTTP2Pair()
    let id = try #require(pair.client.request(try HTTP2Pair.request("/"), ends: true))
    try pair.run()
    pair.server.respond(id, HTTPResponse(.ok), ends: false)
    #expect(pair.server.write(id, Slice([UInt8](repeating: 7, count: 60_000))))
    let first = pair.server.takeOutput(maximum: 1)
    #expect(first.count < 20_000)
    while !pair.server.takeOutput(maximum: 1).isEmpty {}
    #expect(pair.server.queued(id) == 0)
  }

  // RFC 8441 §4, and RFC 6455 over it.
  @Test func `a WebSocket goes through extended CONNECT`() throws {
    var pair = HTTP2Pair()
    try pair.run()
    var request = try HTTP2Pair.request("/ws?x=1", .connect, ["Sec-WebSocket-Version": "13"])
    request.connectProtocol = "websocket"
    let id = try #require(pair.client.request(request, ends: false))
    try pair.run()
    guard case .request(id, let read, .chunked)? = pair.atServer.first else { throw HTTP2Error("\(pair.atServer)") }
    #expect(read.connectProtocol == "websocket" && read.target.path == "/ws" && read.method == .connect)
    guard case .accept(let response, .init()) = WebSocketHandshake.answer(read) else { throw HTTP2Error("refused") }
    pair.server.respond(id, response, ends: false)
    let ping: [UInt8] = [0x89, 0x00]
    #expect(pair.client.write(id, Slice(ping)))
    try pair.run()
    #expect(pair.content(pair.atServer) == ping)
    guard case .response(id, let answer, _)? = pair.atClient.first else { throw HTTP2Error("no response") }
    #expect(answer.status == .ok)
  }

  @Test func `a path that climbs and too many fields are answered here`() throws {
    var limits = HTTP2Limits()
    limits.fields = 10
    var pair = HTTP2Pair(limits)
    try pair.run()
    var bad = try HTTP2Pair.request("/a")
    bad.target = try HTTPTarget("/a", authority: "user@host")
    let first = try #require(pair.client.request(bad, ends: true))
    var many: HTTPFields = [:]
    for n in 0..<20 { many.append("x-\(n)", "y") }
    let second = try #require(pair.client.request(try HTTP2Pair.request("/", .post, many), ends: false))
    _ = pair.client.write(second, [1, 2, 3])
    try pair.run()
    #expect(pair.server.openStreams == 0 && pair.content(pair.atServer).isEmpty && pair.atClient.contains(.finished(second)))
    let statuses = pair.atServer.compactMap { if case .refused(let id, let error) = $0 { [Int(id), error.status.code] } else { nil } }
    #expect(statuses == [[Int(first), 400], [Int(second), 431]])
    let answers = pair.atClient.compactMap { if case .response(_, let response, _) = $0 { response.status.code } else { nil } }
    #expect(answers == [400, 431])
  }

  @Test func `at most so many streams at once`() throws {
    var limits = HTTP2Limits()
    limits.concurrentStreams = 3
    var pair = HTTP2Pair(limits)
    try pair.run()
    for _ in 0..<10 { _ = pair.client.request(try HTTP2Pair.request("/"), ends: true) }
    try pair.run()
    #expect(pair.server.openStreams == 3)
  }

  // CVE-2023-44487.
  @Test func `rapid resets end the connection`() throws {
    var pair = HTTP2Pair()
    try pair.run()
    var opened = 0
    do {
      while opened < 1000 {
        let id = try #require(pair.client.request(try HTTP2Pair.request("/"), ends: true))
        try pair.run()
        pair.client.reset(id)
        try pair.run()
        opened += 1
      }
      Issue.record("a thousand resets were accepted")
    } catch let error as HTTP2Error {
      #expect(opened >= 200 && opened < 210 && error.reason.contains("resets"))
    }
    try HTTP2Pair.feed(pair.client, pair.server.takeOutput(), .max, .zero)
    var last: HTTP2Session.Event?
    while let event = pair.client.pollEvent() { if case .goAway = event { last = event } }
    #expect(last == .goAway(.enhanceYourCalm))
  }

  @Test func `resets at a pace that users have go on for ever`() throws {
    var pair = HTTP2Pair()
    try pair.run()
    for n in 0..<600 {
      pair.now = Instant(nanoseconds: Int64(n) * 100_000_000)
      let id = try #require(pair.client.request(try HTTP2Pair.request("/"), ends: true))
      try pair.run()
      pair.client.reset(id)
      try pair.run()
    }
    #expect(pair.server.openStreams == 0)
  }

  @Test func `a flood of pings ends the connection`() throws {
    let pair = HTTP2Pair()
    let ping: [UInt8] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
    try HTTP2Pair.feed(pair.server, pair.client.takeOutput(), .max, .zero)
    #expect(throws: HTTP2Error.self) {
      for _ in 0..<10_000 {
        try pair.server.receive(ping.span.bytes, now: .zero)
        _ = pair.server.takeOutput()
      }
    }
  }

  @Test func `what is not HTTP 2 is an error`() {
    let server = HTTP2Session(.server)
    let bytes = Array("GET / HTTP/1.1\r\nHost: h\r\n\r\n".utf8)
    #expect(throws: HTTP2Error("not the HTTP/2 preface")) { try server.receive(bytes.span.bytes, now: .zero) }
    #expect(throws: HTTP2Error.self) { try server.receive(bytes.span.bytes, now: .zero) }
  }

  // RFC 9113 §6.8.
  @Test func `a server that shuts down finishes what is open`() throws {
    var pair = HTTP2Pair()
    let id = try #require(pair.client.request(try HTTP2Pair.request("/"), ends: true))
    try pair.run()
    pair.server.announceShutdown()
    try pair.run()
    pair.server.shutDown()
    try pair.run()
    #expect(pair.atClient.contains(.goAway(.noError)) && !pair.server.isFinished)
    pair.server.respond(id, HTTPResponse(.ok), ends: true)
    try pair.run()
    #expect(
      pair.atClient.contains(.finished(id)) && pair.server.isFinished)
    let late = pair.client.request(try HTTP2Pair.request("/"), ends: true)
    #expect(late == nil)
  }

  @Test func `random and damaged bytes never trap`() throws {
    var random = SeededRandom(seed: 13)
    let client = HTTP2Session(.client)
    let id = try #require(client.request(try HTTP2Pair.request("/a", .post, ["x": "y"]), ends: false))
    _ = client.write(id, [1, 2, 3])
    client.end(id, trailers: ["t": "u"])
    let wire = client.takeOutput()
    for round in 0..<3000 {
      var bytes = wire
      for _ in 0..<(1 + round % 4) { bytes[Int.random(in: 24..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      if round % 5 == 0 { bytes = Array(bytes.prefix(24)) + (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) } }
      let server = HTTP2Session(.server)
      try? HTTP2Pair.feed(server, bytes, 1 + round % 50, .zero)
      while let event = server.pollEvent() {
        if case .request(let id, _, _) = event { server.respond(id, HTTPResponse(.ok), ends: true) }
      }
      _ = server.takeOutput()
    }
  }
}

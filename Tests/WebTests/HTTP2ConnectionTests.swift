import MartletCrypto
import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import Testing

/// A client that sends one request a stream and collects what comes back, until all streams are done or the connection is.
private final class Client: TCPConnectionHandler {
  struct Answer: Sendable {
    var status = 0
    var fields: [String: String] = [:]
    var body: [UInt8] = []
    var isComplete = false
    var reset: HTTP2Code?
  }
  let requests: [(HTTPRequest, Slice)]
  let session = HTTP2Session(.client)
  /// Stops acknowledging content behind this many bytes.
  let appetite: Int
  /// Sends no end behind what it sends.
  let keepsOpen: Bool
  let done: @Sendable ([Answer]) -> Void
  var ids: [HTTP2Session.StreamID] = []
  var answers: [Answer] = []
  var unsent: [(HTTP2Session.StreamID, Slice)] = []
  var finished = 0
  var sawGoAway = false

  init(_ requests: [(HTTPRequest, Slice)], appetite: Int = .max, keepsOpen: Bool = false, done: @escaping @Sendable ([Answer]) -> Void) {
    self.requests = requests
    self.appetite = appetite
    self.keepsOpen = keepsOpen
    self.done = done
  }

  func connectionDidOpen(_ connection: TCPConnection) {
    for (request, body) in requests {
      guard let id = session.request(request, ends: body.isEmpty) else { continue }
      ids.append(id)
      answers.append(Answer())
      if !body.isEmpty { unsent.append((id, body)) }
    }
    act(connection)
  }

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    do { try session.receive(bytes, now: connection.context.now) } catch { return connection.close() }
    act(connection)
  }

  private func act(_ connection: TCPConnection) {
    for (id, body) in exchange(&unsent, with: []) {
      session.write(id, body)
      if !keepsOpen { session.end(id) }
    }
    while let event = session.pollEvent() { handle(event) }
    while case let output = session.takeOutput(), !output.isEmpty { connection.write(output) }
    while let event = session.pollEvent() { handle(event) }
    if finished == requests.count, finished > 0 { connection.closeAfterFlush() }
  }

  private func handle(_ event: HTTP2Session.Event) {
    func update(_ id: HTTP2Session.StreamID, _ change: (inout Answer) -> Void) {
      if let index = ids.firstIndex(of: id) { change(&answers[index]) }
    }
    switch event {
    case .response(let id, let response, _):
      update(id) { answer in
        answer.status = response.status.code
        for field in response.fields { answer.fields[field.name.lowercased()] = field.value }
      }
    case .data(let id, let bytes):
      update(id) { $0.body += bytes.array }
      if answers.reduce(0, { $0 + $1.body.count }) < appetite { session.consume(id, bytes.count) }
    case .end(let id, _):
      update(id) { $0.isComplete = true }
      if keepsOpen { session.end(id) }
    case .finished: finished += 1
    case .reset(let id, let code):
      update(id) { $0.reset = code }
      finished += 1
    case .goAway: sawGoAway = true
    case .request, .refused, .writable: break
    }
  }

  func connectionDidReachEnd(_ connection: TCPConnection) { connection.close() }
  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { done(answers) }
}

/// A live source: so many messages of 10,000 bytes, whenever they are asked for.
private final class Tape: OutputSource {
  var left: Int
  var offset = 0
  let message = Slice([UInt8](repeating: 7, count: 10_000))
  init(_ count: Int) { left = count }
  var isMidMessage: Bool { offset > 0 }
  var hasMore: Bool { left > 0 }
  func gather(into vector: IOVector, _ scope: GatherScope) {
    for index in 0..<left { if !vector.append(message, from: index == 0 ? offset : 0) { return } }
  }
  func advance(by count: Int) {
    offset += count
    left -= offset / message.count
    offset %= message.count
  }
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct HTTP2ConnectionTests {
  private func ask(
    _ requests: [(HTTPRequest, Slice)], appetite: Int = .max, keepsOpen: Bool = false, _ configuration: HTTPServer.Configuration = .init(),
    routes: @escaping @Sendable (Router) -> Void
  ) async throws -> [Client.Answer] {
    let loopback = try Loopback()
    defer { loopback.stop() }
    let port = try await loopback.serve(secure: true, configuration, routes: routes)
    let tls = try TLSContext.client(.pem(loopback.certificate.certificatePEM), alpn: ["h2"])
    return await withCheckedContinuation { continuation in
      loopback.client.loop.post { context in
        let client = Client(requests, appetite: appetite, keepsOpen: keepsOpen) { continuation.resume(returning: $0) }
        let address = SocketAddress(ip: Loopback.any.ip, port: port)
        do {
          _ = try TCPConnection(
            connectingTo: address, secure: SecureLayer(tls, serverName: "localhost"), in: context, handler: client)
        } catch { continuation.resume(returning: []) }
      }
    }
  }

  private func request(_ method: HTTPMethod, _ path: String, _ fields: HTTPFields = [:]) throws -> HTTPRequest {
    HTTPRequest(method: method, target: try HTTPTarget(path, method: method, authority: "localhost"), version: .http2, fields: fields)
  }

  // RFC 9113 §3.3: h2 is chosen by ALPN; the handlers are those of HTTP/1.1.
  @Test func `many requests on one connection are answered by the router`() async throws {
    let requests = try (0..<50).map { (try request(.get, "/item/\($0)"), Slice()) }
    let answers = try await ask(requests) { router in
      router.on(.get, "/item/{number}") { exchange, parameters in exchange.respond(.ok, text: parameters["number"]) }
    }
    #expect(answers.map(\.status) == Array(repeating: 200, count: 50))
    #expect(answers.map { String(decoding: $0.body, as: UTF8.self) } == (0..<50).map { "\($0)\n" })
    #expect(answers.allSatisfy { $0.isComplete && $0.fields["date"] != nil })
  }

  // RFC 9113 §5.2: content moves as fast as it is taken, in both directions.
  @Test func `content larger than every window is echoed while it comes`() async throws {
    let content = Slice((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
    let answers = try await ask([(try request(.post, "/echo"), content)]) { router in
      router.on(.post, "/echo") { exchange, _ in
        exchange.begin(HTTPResponse(.ok), body: .chunked)
        exchange.onWritable = { [unowned exchange] in exchange.pauseBody(false) }
        exchange.onBody { [unowned exchange] part in
          if !exchange.write(part) { exchange.pauseBody(true) }
        } end: { [unowned exchange] in
          exchange.finish()
        }
      }
    }
    #expect(answers.first?.status == 200)
    #expect(answers.first?.body == content.array)
  }

  @Test func `content that comes before the handler asks for it is kept`() async throws {
    let content = Slice([UInt8](repeating: 9, count: 600_000))
    let answers = try await ask([(try request(.post, "/late"), content)]) { router in
      router.on(.post, "/late") { exchange, _ in
        exchange.context.schedule(after: .milliseconds(100)) {
          exchange.collectBody(limit: 1 << 20) { exchange.respond(.ok, text: "\($0.count)") }
        }
      }
    }
    #expect(answers.first.map { String(decoding: $0.body, as: UTF8.self) } == "600000\n")
  }

  // RFC 9113 §8.1: RST_STREAM with NO_ERROR asks the client to stop sending.
  @Test func `an upload that is refused ends with the complete response`() async throws {
    let answers = try await ask([(try request(.post, "/upload"), Slice([UInt8](repeating: 1, count: 2_000_000)))]) { router in
      router.on(.post, "/upload") { exchange, _ in exchange.refuse(413, "too large") }
    }
    #expect(answers.first?.status == 413)
    #expect(answers.first?.isComplete == true)
    #expect(answers.first?.reset == nil)
  }

  @Test func `a live source is pulled to its end and the stream then ends`() async throws {
    let answers = try await ask([(try request(.get, "/live"), Slice()), (try request(.get, "/live"), Slice())]) { router in
      router.on(.get, "/live") { exchange, _ in
        exchange.stream(HTTPResponse(.ok)) { $0.source = Tape(100) }
        exchange.finish()
      }
    }
    #expect(answers.map(\.body.count) == [1_000_000, 1_000_000])
    #expect(answers.filter(\.isComplete).count == 2)
  }

  // CVE-2019-9511: a peer that keeps its window shut holds memory here.
  @Test func `a stream whose peer takes nothing is reset in the end`() async throws {
    var configuration = HTTPServer.Configuration()
    configuration.bodyTimeout = .milliseconds(300)
    let answers = try await ask([(try request(.get, "/live"), Slice())], appetite: 100_000, configuration) { router in
      router.on(.get, "/live") { exchange, _ in exchange.stream(HTTPResponse(.ok)) { $0.source = Tape(1_000) } }
    }
    #expect(answers.first?.reset == .cancel)
    #expect(answers.first.map { $0.body.count < 1_000_000 } == true)
  }

  @Test func `CONNECT is answered 501, HEAD has no content, and a bad path is 400`() async throws {
    var tunnel = HTTPRequest(method: .connect, target: try HTTPTarget("localhost:1", method: .connect), version: .http2)
    tunnel.fields = [:]
    let answers = try await ask([(tunnel, Slice()), (try request(.head, "/"), Slice()), (try request(.get, "/none"), Slice())]) { router in
      router.on(.get, "/") { exchange, _ in exchange.respond(.ok, text: "hello") }
    }
    #expect(answers.map(\.status) == [501, 200, 404])
    #expect(answers.dropFirst().first?.body.isEmpty == true)
    #expect(answers.dropFirst().first?.fields["content-length"] == "6")
  }

  // RFC 9113 §6.8.
  @Test func `a draining server finishes what is under way and says GOAWAY`() async throws {
    let answers = try await ask([(try request(.get, "/slow"), Slice())]) { router in
      router.on(.get, "/slow") { exchange, _ in
        exchange.context.service(HTTPServer.self).drain()
        exchange.context.schedule(after: .milliseconds(300)) { exchange.respond(.ok, text: "done") }
      }
    }
    #expect(answers.first?.status == 200)
    #expect(answers.first?.isComplete == true)
  }

  @Test func `an idle connection is closed`() async throws {
    var configuration = HTTPServer.Configuration()
    configuration.idleTimeout = .milliseconds(200)
    let answers = try await ask([], configuration) { _ in }
    #expect(answers.count == 0)
  }

  // A driver's handlers may end an exchange, or the whole connection, from inside anything they hear.
  @Test(arguments: ["request", "body", "end", "writable", "close"])
  func `a handler may abort from inside every event`(place: String) async throws {
    let content = Slice([UInt8](repeating: 1, count: 2_000_000))
    let answers = try await ask([(try request(.post, "/"), content), (try request(.get, "/other"), Slice())]) { router in
      router.on(.get, "/other") { exchange, _ in
        exchange.context.schedule(after: .milliseconds(100)) { exchange.respond(.ok, text: "other") }
      }
      router.on(.post, "/") { exchange, _ in
        exchange.onClose = { if place == "close" { exchange.abort() } }
        if place == "request" { return exchange.abort() }
        if place == "writable" {
          exchange.begin(HTTPResponse(.ok), body: .chunked)
          exchange.onWritable = { exchange.abort() }
          while exchange.write(content.sub(0..<100_000)) {}
          return
        }
        exchange.onBody { _ in
          if place == "body" { exchange.abort() }
        } end: {
          if place == "end" { exchange.abort() } else { exchange.respond(.ok) }
        }
      }
    }
    #expect(answers.count == 2)
    #expect((answers.first?.reset == nil) == (place == "close"))
    #expect(answers.last?.status == 200)
  }

  /// Sends raw frames behind the preface and waits for the server to close; answers how long that took.
  private func timeToClose(_ frames: [UInt8], _ configuration: HTTPServer.Configuration) async throws -> TimeSpan {
    final class Raw: TCPConnectionHandler {
      let bytes: [UInt8]
      let done: (TimeSpan) -> Void
      var opened = Instant(nanoseconds: 0)
      init(_ bytes: [UInt8], done: @escaping (TimeSpan) -> Void) {
        self.bytes = bytes
        self.done = done
      }
      func connectionDidOpen(_ connection: TCPConnection) {
        opened = connection.context.now
        connection.write(bytes)
      }
      func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}
      func connectionDidReachEnd(_ connection: TCPConnection) { connection.close() }
      func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { done(connection.context.now - opened) }
    }
    let loopback = try Loopback()
    defer { loopback.stop() }
    let port = try await loopback.serve(secure: true, configuration) { _ in }
    let tls = try TLSContext.client(.insecure, alpn: ["h2"])
    let bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0] + frames
    return await withCheckedContinuation { continuation in
      loopback.client.loop.post { context in
        let raw = Raw(bytes) { continuation.resume(returning: $0) }
        let address = SocketAddress(ip: Loopback.any.ip, port: port)
        do { _ = try TCPConnection(connectingTo: address, secure: SecureLayer(tls), in: context, handler: raw) } catch {
          continuation.resume(returning: .zero)
        }
      }
    }
  }

  @Test func `a header list that is never completed ends the connection`() async throws {
    var configuration = HTTPServer.Configuration()
    configuration.headTimeout = .milliseconds(300)
    // HEADERS on stream 1 without END_HEADERS.
    let took = try await timeToClose([0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82], configuration)
    #expect(took >= .milliseconds(250))
    #expect(took < .seconds(5))
  }

  // CVE-2023-44487.
  @Test func `streams that are opened and reset in a flood end the connection`() async throws {
    var frames: [UInt8] = []
    for index in 0..<2000 {
      let id: [UInt8] = [0, 0, UInt8(truncatingIfNeeded: (index * 2 + 1) >> 8), UInt8(truncatingIfNeeded: index * 2 + 1)]
      // :method GET, :scheme https, :path /, and an :authority, all from the static table but the last.
      frames += [0, 0, 6, 1, 5] + id + [0x82, 0x87, 0x84, 0x41, 1, UInt8(ascii: "a")]
      frames += [0, 0, 4, 3, 0] + id + [0, 0, 0, 8]
    }
    #expect(try await timeToClose(frames, .init()) < .seconds(5))
  }

  // RFC 8441: the frames of RFC 6455 inside the stream's DATA.
  @Test func `a WebSocket over a stream echoes, closes and ends its stream`() async throws {
    let hello = Array("hello".utf8)
    let closeCode: [UInt8] = [3, 232]
    let wire = WebSocketFrame.encode(.text, hello.span.bytes, mask: 9) + WebSocketFrame.encode(.close, closeCode.span.bytes, mask: 9)
    var request = HTTPRequest(
      method: .connect, target: try HTTPTarget("/ws", authority: "localhost"), version: .http2,
      fields: ["Sec-WebSocket-Version": "13", "Sec-WebSocket-Extensions": "permessage-deflate"])
    request.connectProtocol = "websocket"
    var tunnel = request
    tunnel.connectProtocol = "connect-udp"
    let answers = try await ask([(request, Slice(wire)), (tunnel, [1])]) { router in
      router.on(.get, "/ws") { exchange, _ in
        guard let session = exchange.acceptWebSocket() else { return }
        session.handler = Echo()
      }
    }
    #expect(answers[0].status == 200 && answers[0].fields["sec-websocket-extensions"]?.hasPrefix("permessage-deflate") == true)
    #expect(answers[0].body == [0x81, 5] + hello + [0x88, 2, 3, 232] && answers[0].isComplete)
    #expect(answers[1].status == 501)
  }

  @Test func `a source is pulled into a stream between whole messages, and nothing breaks into one`() async throws {
    var request = HTTPRequest(
      method: .connect, target: try HTTPTarget("/ws", authority: "localhost"), version: .http2, fields: ["Sec-WebSocket-Version": "13"])
    request.connectProtocol = "websocket"
    let ping: [UInt8] = [0x89, 0x80, 0, 0, 0, 0]
    let answers = try await ask([(request, Slice(ping))], keepsOpen: true) { router in
      router.on(.get, "/ws") { exchange, _ in
        var configuration = WebSocketConfiguration()
        configuration.closeTimeout = .milliseconds(200)
        guard let session = exchange.acceptWebSocket(WebSocketOptions(configuration)) else { return }
        session.handler = Echo()
        session.attach(FrameTape())
        for delay in 1...20 { session.context.schedule(after: .milliseconds(delay)) { session.ping() } }
        session.context.schedule(after: .milliseconds(60)) { session.close(.init(rawValue: 4000)) }
      }
    }
    var machine = WebSocketMachine(.client(maskSeed: [1]))
    var events: [WebSocketMachine.Event] = []
    let bytes = answers[0].body
    var offset = 0
    while offset < bytes.count { offset += try machine.receive(bytes.span.bytes.extracting(offset..<bytes.count), into: &events) }
    let pings = events.filter { $0 == .ping([]) }.count
    #expect(events.last == .closed(.init(rawValue: 4000), reason: "") && events.contains(.pong([])) && pings == 20)
    // The client never answers the Close.
    #expect(answers[0].reset == .cancel)
    let isWhole = events.allSatisfy { if case .message(_, let payload) = $0 { payload.count == 150_000 } else { true } }
    #expect(isWhole && events.count > 24)
  }

  /// Frames without end, larger than what a stream may run ahead.
  private final class FrameTape: OutputSource {
    private let frame = Slice(WebSocketFrame.encode(.binary, [UInt8](repeating: 7, count: 150_000).span.bytes))
    private var offset = 0
    var isMidMessage: Bool { offset > 0 }
    var hasMore: Bool { true }
    func gather(into vector: IOVector, _ scope: GatherScope) {
      if offset > 0 { vector.append(frame, from: offset) }
      if scope == .all { vector.append(frame) }
    }
    func advance(by count: Int) { offset = (offset + count) % frame.count }
  }

  private final class Echo: WebSocketHandler {
    func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
      session.send(kind, payload)
    }
    func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {}
  }
}

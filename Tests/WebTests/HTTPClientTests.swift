import MartletCrypto
import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import Synchronization
import Testing

/// Counts TCP connections and says what the test wants, byte for byte.
private final class RawServer: TCPConnectionHandler {
  let respond: (TCPConnection, [UInt8]) -> Void
  init(_ respond: @escaping (TCPConnection, [UInt8]) -> Void) { self.respond = respond }
  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) { respond(connection, Array(copying: bytes)) }
  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {}
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct HTTPClientTests {
  private let loopback: Loopback
  init() throws { loopback = try Loopback() }

  private func install(_ change: @escaping @Sendable (inout HTTPClient.Configuration) -> Void = { _ in }) async {
    await loopback.client.run { context in
      var configuration = HTTPClient.Configuration()
      change(&configuration)
      context.register(HTTPClient(configuration, in: context))
    }
  }

  private func fetch(_ request: HTTPClientRequest, limit: Int = 1 << 20) async throws(HTTPClientError) -> HTTPClientResponse {
    try await HTTPClient.fetch(request, on: loopback.client.loop, limit: limit)
  }

  private func url(_ text: String) throws -> URLReference { try #require(URLReference(text)) }

  private func code(_ request: HTTPClientRequest, limit: Int = 1 << 20) async -> HTTPClientError.Code? {
    do {
      _ = try await fetch(request, limit: limit)
      return nil
    } catch { return error.code }
  }

  /// A listener without HTTP behind it; `accepted` counts its connections.
  private func listenRaw(
    _ accepted: @escaping @Sendable () -> Void = {}, _ respond: @escaping @Sendable (TCPConnection, [UInt8]) -> Void
  ) async throws -> UInt16 {
    let port = await loopback.server.run { context -> UInt16? in
      let listener = try? TCPListener(Loopback.any, in: context, census: ConnectionCensus(), refusal: Slice()) { connection in
        accepted()
        connection.handler = RawServer(respond)
      }
      guard let listener else { return nil }
      context.register(listener)
      return listener.address.port
    }
    return try #require(port)
  }

  @Test func `a response is collected, and a name is resolved`() async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      router.on(.get, "/hello") { exchange, _ in exchange.respond(.ok, text: exchange.request.fields.first("Host") ?? "") }
    }
    await install()
    let response = try await fetch(HTTPClientRequest(.get, try url("http://localhost:\(port)/hello?x=1")))
    #expect(response.head.status == .ok)
    #expect(String(decoding: response.body, as: UTF8.self) == "localhost:\(port)\n")
  }

  // RFC 9112 §9.3, §9.4: connections persist, and there are few of them.
  @Test func `no more than six connections serve fifty requests, and they are used again`() async throws {
    defer { loopback.stop() }
    let peers = Mutex<Set<SocketAddress>>([])
    let port = try await loopback.serve { router in
      router.on(.post, "/echo") { exchange, _ in
        peers.withLock { _ = $0.insert(exchange.remote) }
        exchange.collectBody(limit: 100) { exchange.respond(.ok, [:], Slice($0)) }
      }
    }
    await install()
    let target = try url("http://127.0.0.1:\(port)/echo")
    try await withThrowingTaskGroup(of: (Int, [UInt8]).self) { group in
      for number in 0..<50 {
        group.addTask { (number, try await fetch(HTTPClientRequest(.post, target, body: .bytes(Slice([UInt8(number)])))).body) }
      }
      for try await (number, body) in group { #expect(body == [UInt8(number)]) }
    }
    #expect((1...6).contains(peers.withLock(\.count)))
  }

  @Test func `requests of a higher priority go first`() async throws {
    defer { loopback.stop() }
    let order = Mutex<[String]>([])
    let port = try await loopback.serve { router in
      router.on(.get, "/{name}") { exchange, parameters in
        order.withLock { $0.append(parameters["name"]) }
        exchange.context.schedule(after: .milliseconds(20)) { exchange.respond(.ok) }
      }
    }
    await install { $0.connectionsPerOrigin = 1 }
    let base = "http://127.0.0.1:\(port)/"
    let requests = try [("low", HTTPClientRequest.Priority.background), ("normal", .normal), ("high", .urgent)].map { name, priority in
      var request = HTTPClientRequest(.get, try url(base + name))
      request.priority = priority
      return request
    }
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      loopback.client.loop.post { context in
        var left = requests.count
        for request in requests {
          context.service(HTTPClient.self).send(request) { event in
            if case .end = event { left -= 1 }
            if left == 0 { done.resume() }
          }
        }
      }
    }
    #expect(order.withLock { $0 } == ["high", "normal", "low"])
  }

  // RFC 9110 §15.4.
  @Test func `redirects keep or change the method as their status says`() async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      for status in [301, 302, 303, 307, 308] {
        router.on(.post, "/\(status)") { exchange, _ in exchange.respond(HTTPStatus(status), ["Location": "/end?from=\(status)"]) }
      }
      for method in [HTTPMethod.get, .post] {
        router.on(method, "/end") { exchange, _ in exchange.collectBody(limit: 10) { exchange.respond(.ok, text: "\(method) \($0.count)") }
        }
      }
      router.on(.get, "/loop") { exchange, _ in exchange.respond(302, ["Location": "loop"]) }
    }
    await install()
    for (status, expected) in [(301, "GET 0"), (302, "GET 0"), (303, "GET 0"), (307, "POST 3"), (308, "POST 3")] {
      let target = try url("http://127.0.0.1:\(port)/\(status)")
      let response = try await fetch(HTTPClientRequest(.post, target, ["Content-Type": "text/plain"], body: .bytes([1, 2, 3])))
      #expect(String(decoding: response.body, as: UTF8.self) == "\(expected)\n")
      #expect(response.url.rawQuery == "from=\(status)")
    }
    #expect(await code(HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/loop"))) == .tooManyRedirects)
    var plain = HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/loop"))
    plain.redirects = 0
    #expect(try await fetch(plain).head.status == 302)
  }

  @Test func `credentials do not follow a redirect to another origin`() async throws {
    defer { loopback.stop() }
    let other = try await loopback.serve { router in
      router.on(.get, "/") { exchange, _ in
        let fields = exchange.request.fields
        exchange.respond(.ok, text: "\(fields.contains("Authorization")) \(fields.contains("Cookie")) \(fields.contains("X-Other"))")
      }
    }
    let port = try await loopback.serve { router in
      router.on(.get, "/away") { exchange, _ in exchange.respond(307, ["Location": "http://127.0.0.1:\(other)/"]) }
      router.on(.get, "/stay") { exchange, _ in exchange.respond(307, ["Location": "/here"]) }
      router.on(.get, "/here") { exchange, _ in exchange.respond(.ok, text: exchange.request.fields.first("Authorization") ?? "") }
    }
    await install()
    let fields: HTTPFields = ["Authorization": "Bearer secret", "Cookie": "a=b", "X-Other": "1"]
    let away = try await fetch(HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/away"), fields))
    #expect(String(decoding: away.body, as: UTF8.self) == "false false true\n")
    let stay = try await fetch(HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/stay"), fields))
    #expect(String(decoding: stay.body, as: UTF8.self) == "Bearer secret\n")
  }

  @Test func `certificates are verified, for the name as well`() async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve(secure: true) { router in
      router.on(.get, "/") { exchange, _ in exchange.respond(.ok, text: exchange.request.version.rawValue) }
    }
    await install()
    #expect(await code(HTTPClientRequest(.get, try url("https://localhost:\(port)/"))) == .unreachable)
    let pem = loopback.certificate.certificatePEM
    await install { $0.trust = .pem(pem) }
    let response = try await fetch(HTTPClientRequest(.get, try url("https://localhost:\(port)/")))
    #expect(String(decoding: response.body, as: UTF8.self) == "HTTP/1.1\n")
    #expect(await code(HTTPClientRequest(.get, try url("https://127.0.0.2:\(port)/"))) == .unreachable)
  }

  @Test func `https goes through a proxy in a tunnel`() async throws {
    defer { loopback.stop() }
    let origin = try await loopback.serve(secure: true) { router in
      router.on(.get, "/") { exchange, _ in exchange.respond(.ok, text: "through") }
    }
    // Two ends of pipes are enough of a proxy.
    final class Pipe: TCPConnectionHandler {
      var other: TCPConnection?
      var isTunnel = false
      let port: UInt16
      init(_ port: UInt16) { self.port = port }
      func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
        if isTunnel { other?.write(Slice(copying: bytes)); return }
        let text = String(repairing: bytes)
        guard text.hasPrefix("CONNECT localhost:\(port) HTTP/1.1\r\n"), text.contains("Proxy-Authorization: Basic dTpw\r\n") else {
          connection.write(Array("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".utf8))
          return
        }
        let back = Pipe(port)
        (isTunnel, back.isTunnel, back.other) = (true, true, connection)
        other = try? TCPConnection(
          connectingTo: SocketAddress(ip: Loopback.any.ip, port: port), in: connection.context, handler: back)
        connection.write(Array("HTTP/1.1 200 Connected\r\n\r\n".utf8))
      }
      func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { exchange(&other, with: nil)?.close() }
    }
    let proxy = await loopback.server.run { context -> UInt16 in
      let listener = try? TCPListener(Loopback.any, in: context, census: ConnectionCensus(), refusal: Slice()) { $0.handler = Pipe(origin) }
      guard let listener else { return 0 }
      context.register(listener)
      return listener.address.port
    }
    let pem = loopback.certificate.certificatePEM
    await install {
      $0.trust = .pem(pem)
      $0.proxy = URLReference("http://u:p@127.0.0.1:\(proxy)")
    }
    let response = try await fetch(HTTPClientRequest(.get, try url("https://localhost:\(origin)/")))
    #expect(String(decoding: response.body, as: UTF8.self) == "through\n")
    await install {
      $0.trust = .pem(pem)
      $0.proxy = URLReference("http://127.0.0.1:\(proxy)")
    }
    #expect(await code(HTTPClientRequest(.get, try url("https://localhost:\(origin)/"))) == .proxy)
  }

  @Test func `an address that the filter refuses is not connected to`() async throws {
    defer { loopback.stop() }
    let accepted = Atomic<Int>(0)
    let port = try await listenRaw({ accepted.add(1, ordering: .relaxed) }) { _, _ in }
    await install { $0.allows = { !$0.isSpecialPurpose } }
    for host in ["127.0.0.1", "localhost", "[::1]"] {
      #expect(await code(HTTPClientRequest(.get, try url("http://\(host):\(port)/"))) == .forbiddenAddress)
    }
    #expect(accepted.load(ordering: .relaxed) == 0)
  }

  // RFC 9112 §9.3.1.
  @Test func `a request that met a closing connection is sent once more if that is safe`() async throws {
    defer { loopback.stop() }
    let accepted = Atomic<Int>(0)
    // Each connection answers its first request and closes, without a word, on the second.
    let port = try await listenRaw({ accepted.add(1, ordering: .relaxed) }) { connection, bytes in
      if connection.bytesSent > 0 { return connection.close() }
      connection.write(Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8))
    }
    await install()
    let target = try url("http://127.0.0.1:\(port)/")
    #expect(try await fetch(HTTPClientRequest(.get, target)).body == Array("ok".utf8))
    #expect(try await fetch(HTTPClientRequest(.get, target)).body == Array("ok".utf8))
    #expect(accepted.load(ordering: .relaxed) == 2)
    #expect(await code(HTTPClientRequest(.post, target, body: .bytes([1]))) == .closed)
  }

  @Test func `each time limit ends the request with its own sentence`() async throws {
    defer { loopback.stop() }
    let silent = try await listenRaw { _, _ in }
    await install()
    var request = HTTPClientRequest(.get, try url("http://127.0.0.1:\(silent)/"))
    request.timeouts.firstByte = .milliseconds(100)
    #expect(await code(request) == .timeout)
    request.timeouts.firstByte = .seconds(10)
    request.timeouts.total = .milliseconds(100)
    #expect(await code(request) == .timeout)
    // TEST-NET-1 answers nobody; where there is no route at all the kernel says so at once.
    var nowhere = HTTPClientRequest(.get, try url("http://192.0.2.1/"))
    nowhere.timeouts.connect = .milliseconds(100)
    let reached = await code(nowhere)
    #expect(reached == .timeout || reached == .unreachable || reached == .closed)
    #expect(await code(HTTPClientRequest(.get, try url("http://does-not-exist.invalid/"))) == .unresolved)
  }

  @Test func `garbage, cut-off and oversized responses are errors`() async throws {
    defer { loopback.stop() }
    let answers = [
      "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 200),
    ]
    let next = Atomic<Int>(0)
    let port = try await listenRaw { connection, _ in
      connection.write(Array(answers[next.load(ordering: .relaxed)].utf8))
      connection.closeAfterFlush()
    }
    await install()
    let target = try url("http://127.0.0.1:\(port)/")
    for expected in [HTTPClientError.Code.badResponse, .closed, .tooLarge] {
      #expect(await code(HTTPClientRequest(.get, target), limit: 100) == expected)
      next.add(1, ordering: .relaxed)
    }
  }

  @Test func `content streams both ways and stops where the other side stops`() async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      router.on(.put, "/echo") { exchange, _ in
        exchange.begin(HTTPResponse(.ok), body: .chunked)
        exchange.onWritable = { [unowned exchange] in exchange.pauseBody(false) }
        exchange.onBody { [unowned exchange] part in
          if !exchange.write(part) { exchange.pauseBody(true) }
        } end: { [unowned exchange] in
          exchange.finish()
        }
      }
    }
    await install()
    let request = HTTPClientRequest(.put, try url("http://127.0.0.1:\(port)/echo"), body: .stream(length: nil))
    let total = 20_000_000
    let (received, largestWait) = await withCheckedContinuation { (done: CheckedContinuation<(Int, Int), Never>) in
      loopback.client.loop.post { context in
        let piece = Slice([UInt8](repeating: 5, count: 100_000))
        var sent = 0, received = 0, ahead = 0
        let exchange = context.service(HTTPClient.self).send(request) { event in
          switch event {
          case .body(let bytes): received += bytes.count
          case .end: done.resume(returning: (received, ahead))
          case .failure: done.resume(returning: (-1, 0))
          case .head: break
          }
        }
        exchange.onWritable = { [unowned exchange] in
          while sent < total {
            sent += piece.count
            ahead = max(ahead, sent - received)
            if !exchange.write(piece) { return }
          }
          exchange.finish()
        }
      }
    }
    #expect(received == total)
    // What is under way is buffers, not the whole.
    #expect(largestWait < total / 2 + 8_000_000)
  }

  @Test(arguments: ["head", "body", "end"])
  func `a caller may cancel, and ask again, from inside every event`(place: String) async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      router.on(.get, "/") { exchange, _ in exchange.respond(.ok, [:], Slice([UInt8](repeating: 1, count: 500_000))) }
    }
    await install()
    let request = HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/"))
    let (events, second) = await withCheckedContinuation { (done: CheckedContinuation<([String], Bool), Never>) in
      loopback.client.loop.post { context in
        let client = context.service(HTTPClient.self)
        var events: [String] = []
        var first: HTTPClientExchange?
        first = client.send(request) { event in
          let name =
            switch event {
            case .head: "head"
            case .body: "body"
            case .end: "end"
            case .failure: "failure"
            }
          if events.last != name { events.append(name) }
          guard name == place else { return }
          first?.cancel()
          client.send(request) { event in
            if case .end = event { done.resume(returning: (events, true)) }
            if case .failure = event { done.resume(returning: (events, false)) }
          }
        }
      }
    }
    #expect(events.last == place)
    #expect(second)
  }

  @Test func `a cancelled task ends its request`() async throws {
    defer { loopback.stop() }
    let silent = try await listenRaw { _, _ in }
    await install()
    let request = HTTPClientRequest(.get, try url("http://127.0.0.1:\(silent)/"))
    let task = Task { await code(request) }
    try await Task.sleep(nanoseconds: 50_000_000)
    task.cancel()
    #expect(await task.value == .cancelled)
  }

  @Test func `content waits for a handler that has to be asked for permission first`() async throws {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      router.on(.post, "/late") { exchange, _ in
        exchange.context.schedule(after: .milliseconds(100)) {
          exchange.collectBody(limit: 1 << 20) { exchange.respond(.ok, text: "\($0.count)") }
        }
      }
    }
    await install()
    for count in [1, 600_000] {
      let body = Slice([UInt8](repeating: 1, count: count))
      let response = try await fetch(HTTPClientRequest(.post, try url("http://127.0.0.1:\(port)/late"), body: .bytes(body)))
      #expect(String(decoding: response.body, as: UTF8.self) == "\(count)\n")
    }
  }

  // RFC 9112 §9.6.
  @Test func `a refused upload is answered; a short one leaves the connection in use, a long one closes it in words`() async throws {
    defer { loopback.stop() }
    let peers = Mutex<Set<SocketAddress>>([])
    let port = try await loopback.serve { router in
      router.on(.post, "/no") { exchange, _ in
        peers.withLock { _ = $0.insert(exchange.remote) }
        exchange.refuse(403, "no")
      }
    }
    await install()
    let target = try url("http://127.0.0.1:\(port)/no")
    for _ in 0..<3 {
      let response = try await fetch(HTTPClientRequest(.post, target, body: .bytes(Slice([UInt8](repeating: 1, count: 60_000)))))
      #expect(response.head.status == 403)
      #expect(response.head.fields.first("Connection") == nil)
    }
    #expect(peers.withLock(\.count) == 1)
    let long = try await fetch(HTTPClientRequest(.post, target, body: .bytes(Slice([UInt8](repeating: 1, count: 3_000_000)))))
    #expect(long.head.status == 403)
    #expect(long.head.fields.first("Connection") == "close")
  }

  // RFC 9112 §9.3.
  @Test func `a request without content that is answered at once leaves the connection in use`() async throws {
    defer { loopback.stop() }
    let peers = Mutex<Set<SocketAddress>>([])
    let port = try await loopback.serve { router in
      router.on(.get, "/now") { exchange, _ in
        peers.withLock { _ = $0.insert(exchange.remote) }
        exchange.respond(.ok, text: "now")
      }
    }
    await install()
    for _ in 0..<3 {
      let response = try await fetch(HTTPClientRequest(.get, try url("http://127.0.0.1:\(port)/now")))
      #expect(response.head.fields.first("Connection") == nil)
    }
    #expect(peers.withLock(\.count) == 1)
  }
}

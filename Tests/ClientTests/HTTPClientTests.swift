import MartletClient
import MartletServer
import Testing

/// Chunks until somebody stops asking; counts those that were asked for.
private struct Endless: AsyncSequence, Sendable {
  typealias Element = [UInt8]
  let size: Int
  let limit: Int
  let asked = Count()

  struct AsyncIterator: AsyncIteratorProtocol {
    let source: Endless
    mutating func next() async -> [UInt8]? {
      guard source.asked.now < source.limit else { return nil }
      source.asked.add()
      return [UInt8](repeating: 0x61, count: source.size)
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(source: self) }
}

private struct Broken: AsyncSequence, Sendable {
  typealias Element = [UInt8]
  struct Reason: Error {}
  struct AsyncIterator: AsyncIteratorProtocol {
    mutating func next() async throws -> [UInt8]? { throw Reason() }
  }
  func makeAsyncIterator() -> AsyncIterator { AsyncIterator() }
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct HTTPClientTests {
  private let client = HTTPClient()

  private func withEcho(_ body: (_ url: @escaping (String, String) -> String) async throws -> Void) async throws {
    try await withServer {
      try $0.set("diagnostics", "true")
      try $0.listen(http: 0, https: 0, rtmp: 0)
    } _: { _, url in
      try await body(url)
    }
  }

  /// Why there is no response, or not all of it: a server may answer before it has heard everything.
  private func code(_ request: HTTPClient.Request, _ client: HTTPClient? = nil) async -> HTTPClient.Failure.Code? {
    do throws(HTTPClient.Failure) {
      for try await _ in try await (client ?? self.client).send(request).body {}
      return nil
    } catch { return error.code }
  }

  @Test func `a page is fetched, and a status that is no success is a response like others`() async throws {
    try await withEcho { url in
      let hello = try await client.get(url("http", "diag/hello"))
      #expect(hello.status == 200)
      #expect(hello.isSuccess)
      #expect(hello.contentLength == 12)
      #expect(hello.headers["content-type"] != nil)
      let text = try await hello.body.text()
      #expect(text.utf8.count == 12)
      let missing = try await client.get(url("http", "nothing/here.txt"))
      #expect(missing.status == 404)
      #expect(!missing.isSuccess)
    }
  }

  @Test func `content goes both ways in chunks, of whatever size`() async throws {
    try await withEcho { url in
      let bytes = try await client.post(url("http", "diag/echo"), .bytes(Array("Swift".utf8))).body.bytes()
      #expect(bytes == Array("Swift".utf8))
      for (length, size) in [(Int?.none, 100_000), (2_000_000, 100_000), (nil, 1)] {
        let source = Endless(size: size, limit: 20)
        let response = try await client.post(url("http", "diag/echo"), .stream(source, length: length))
        var count = 0
        for try await chunk in response.body {
          let isSame = chunk.allSatisfy { $0 == 0x61 }
          #expect(isSame)
          count += chunk.count
        }
        #expect(count == 20 * size)
      }
    }
  }

  @Test func `whoever does not read holds the source of an upload back`() async throws {
    try await withEcho { url in
      let source = Endless(size: 100_000, limit: 1000)
      let response = try await client.post(url("http", "diag/echo"), .stream(source))
      // What lies between is in buffers, the kernel's among them, which have bounds far below the whole.
      while source.asked.now < 5 { try await Task.sleep(nanoseconds: 1_000_000) }
      var (count, ahead) = (0, 0)
      for try await chunk in response.body {
        // A slow reader: the source has all the time it wants to run ahead.
        if count < 2_000_000 { try await Task.sleep(nanoseconds: 5_000_000) }
        count += chunk.count
        ahead = max(ahead, source.asked.now * 100_000 - count)
      }
      #expect(ahead < 60_000_000)
      #expect(count == 100_000_000)
    }
  }

  @Test func `a response may be left before its end, and its connection is given up`() async throws {
    try await withEcho { url in
      for _ in 0..<20 {
        let source = Endless(size: 100_000, limit: 1000)
        let response = try await client.post(url("http", "diag/echo"), .stream(source))
        for try await _ in response.body { break }
      }
      // All six connections to the origin are free again.
      let hello = try await client.get(url("http", "diag/hello"))
      #expect(hello.status == 200)
    }
  }

  @Test func `too much content fails when it is collected`() async throws {
    try await withEcho { url in
      let response = try await client.post(url("http", "diag/echo"), .bytes([UInt8](repeating: 1, count: 5000)))
      await #expect(throws: HTTPClient.Failure.self) { try await response.body.bytes(upTo: 4999) }
    }
  }

  @Test func `TLS is verified unless it is said not to be`() async throws {
    try await withEcho { url in
      #expect(await code(.init(url("https", "diag/hello"))) == .unreachable)
      var configuration = HTTPClient.Configuration()
      configuration.trust = .insecure
      let hello = try await HTTPClient(configuration).get(url("https", "diag/hello"))
      #expect(hello.status == 200)
    }
  }

  @Test func `what cannot be sent says why`() async throws {
    #expect(await code(.init("no address")) == .invalid)
    #expect(await code(.init("ftp://127.0.0.1/")) == .invalid)
    #expect(await code(.init("http://127.0.0.1:1/")) == .unreachable)
    var configuration = HTTPClient.Configuration()
    configuration.proxy = "not a proxy"
    #expect(await code(.init("http://127.0.0.1/"), HTTPClient(configuration)) == .invalid)
    configuration = HTTPClient.Configuration()
    configuration.refusesPrivateAddresses = true
    #expect(await code(.init("http://127.0.0.1:1/"), HTTPClient(configuration)) == .forbiddenAddress)
    try await withEcho { url in
      var request = HTTPClient.Request(url("http", "diag/echo"), method: "POST", body: .stream(Broken()))
      #expect(await code(request) == .requestBody)
      request.body = .stream(Endless(size: 10, limit: 1), length: 100)
      #expect(await code(request) == .invalid)
    }
  }

  @Test func `requests go through a proxy`() async throws {
    try await withEcho { url in
      // Our own server takes the absolute form as well (RFC 9112 §3.2.2), so it stands in for a proxy.
      var configuration = HTTPClient.Configuration()
      configuration.proxy = String(url("http", "").dropLast())
      let response = try await HTTPClient(configuration).get("http://example.invalid/diag/hello")
      #expect(response.status == 200)
    }
  }

  @Test func `a cancelled task and a time limit end a request`() async throws {
    try await withServer { _, url in
      // A stream that nobody publishes keeps its viewers waiting.
      let address = url("http", "live/nobody.flv")
      let task = Task { try await client.get(address) }
      try await Task.sleep(nanoseconds: 50_000_000)
      task.cancel()
      await #expect(throws: HTTPClient.Failure.cancelled) { try await task.value }
      var request = HTTPClient.Request(address)
      request.timeouts.total = .milliseconds(100)
      #expect(await code(request) == .timeout)
    }
  }

  @Test func `a live stream is read from HTTP as packets`() async throws {
    let packets = try await Vector.packets()
    try await withServer { server, url in
      let local = try await server.publish("live/web")
      try await local.send(packets)
      let response = try await client.get(url("http", "live/web.flv"))
      var frames = 0
      for try await packet in FLVPackets(response.body) {
        if case .frame = packet { frames += 1 }
        if frames == 20 { break }
      }
      #expect(frames == 20)
      await local.finish()
    }
  }
}

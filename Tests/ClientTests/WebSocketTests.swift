import MartletClient
import MartletServer
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct WebSocketTests {
  private func withEcho(_ body: (_ url: @escaping (String, String) -> String) async throws -> Void) async throws {
    try await withServer {
      try $0.set("diagnostics", "true")
      try $0.listen(http: 0, https: 0, rtmp: 0)
    } _: { _, url in
      // `http` and `https` are taken for `ws` and `wss`.
      try await body(url)
    }
  }

  private func failure(_ url: String, _ options: WebSocket.Options = .init()) async -> WebSocket.Failure? {
    do throws(WebSocket.Failure) {
      _ = try await WebSocket(url, options)
      return nil
    } catch { return error }
  }

  @Test func `what is sent comes back, text, binary and large, with and without compression`() async throws {
    try await withEcho { url in
      for deflate in [true, false] {
        var options = WebSocket.Options()
        options.deflate = deflate
        let socket = try await WebSocket(url("http", "diag/echo"), options)
        #expect(socket.readyState == .open)
        #expect(socket.extensions.hasPrefix("permessage-deflate") == deflate)
        #expect(socket.protocol == "")
        let large = WebSocket.Message.binary((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) })
        let sent: [WebSocket.Message] = [.text("grüße"), .text(String(repeating: "ab", count: 50_000)), .binary([]), large]
        for message in sent { try await socket.send(message) }
        var received: [WebSocket.Message] = []
        for try await message in socket.messages {
          received.append(message)
          if received.count == sent.count { break }
        }
        let isSame = received == sent
        #expect(isSame)
        #expect(await socket.bufferedAmount == 0)
        let closure = try await socket.close(code: 4001, reason: "done")
        #expect((closure.code, closure.reason, closure.isClean) == (4001, "done", true))
        #expect(socket.readyState == .closed)
        await #expect(throws: WebSocket.Failure(.closed)) { try await socket.send("late") }
        for try await _ in socket.messages { Issue.record("a message behind the end") }
      }
    }
  }

  @Test func `a sender waits while nobody reads the echo`() async throws {
    try await withEcho { url in
      var options = WebSocket.Options()
      options.bufferedBytes = 100_000
      let socket = try await WebSocket(url("http", "diag/echo"), options)
      let sent = Count()
      let sender = Task {
        for _ in 0..<2000 {
          try await socket.send([UInt8](repeating: 1, count: 50_000))
          sent.add()
        }
      }
      // All of it never fits into the buffers between: it cannot end before somebody reads.
      while await socket.bufferedAmount < 100_000 { try await Task.sleep(nanoseconds: 1_000_000) }
      #expect(sent.now < 2000)
      var count = 0
      for try await message in socket.messages {
        #expect(message != .binary([]))
        count += 1
        if count == 2000 { break }
      }
      try await sender.value
      #expect(try await socket.close().isClean)
    }
  }

  @Test func `why there is no connection is typed`() async throws {
    #expect(await failure("no address")?.code == .invalid)
    #expect(await failure("ftp://127.0.0.1/")?.code == .invalid)
    #expect(await failure("ws://127.0.0.1:1/")?.code == .unreachable)
    var options = WebSocket.Options()
    options.subprotocols = ["a", "a"]
    #expect(await failure("ws://127.0.0.1:1/", options)?.code == .invalid)
    try await withEcho { url in
      let refused = await failure(url("http", "nothing"))
      #expect((refused?.code, refused?.status) == (.refused, 404))
      #expect(await failure(url("https", "diag/echo"))?.code == .unreachable)
      var options = WebSocket.Options()
      options.trust = .insecure
      let socket = try await WebSocket(url("https", "diag/echo"), options)
      await #expect(throws: WebSocket.Failure(.invalid)) { try await socket.close(code: 1001) }
      await #expect(throws: WebSocket.Failure(.invalid)) { try await socket.close(reason: String(repeating: "x", count: 124)) }
      try await socket.close()
    }
  }

  @Test func `a message beyond the limit closes with 1009, and is an error for its reader`() async throws {
    try await withEcho { url in
      var options = WebSocket.Options()
      options.maximumMessage = 1000
      let socket = try await WebSocket(url("http", "diag/echo"), options)
      try await socket.send([UInt8](repeating: 1, count: 1001))
      await #expect(throws: WebSocket.Failure(.closed)) { for try await _ in socket.messages {} }
      #expect((socket.closure?.code, socket.closure?.isClean) == (1009, false))
    }
  }

  @Test func `a waiting reader hears of its task's cancellation`() async throws {
    try await withEcho { url in
      let socket = try await WebSocket(url("http", "diag/echo"))
      let task = Task { for try await _ in socket.messages {} }
      task.cancel()
      await #expect(throws: WebSocket.Failure(.cancelled)) { try await task.value }
      try await socket.close()
    }
  }
}

extension WebSocket.Failure {
  /// To compare with: failures of one code are equal.
  fileprivate init(_ code: Code) { self.init(code, "") }
}

import MartletClient
import MartletServer
import TestSupport
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct ChannelClientTests {
  private func withChannels(
    _ settings: [String: String] = [:], _ body: (Server, _ url: String) async throws -> Void
  ) async throws {
    try await withServer { configuration in
      for (name, value) in settings { try configuration.set(name, value) }
    } _: { server, url in
      try await body(server, String(url("http", "").dropLast()))
    }
  }

  private func fail(_ missing: Comment) { Issue.record(missing) }

  private func texts(_ subscription: ChannelSubscription, _ count: Int) async throws -> [String] {
    var texts: [String] = []
    for try await event in subscription {
      if case .message(let message) = event { texts.append(message.text ?? "binary") }
      if texts.count == count { break }
    }
    return texts
  }

  private func error(_ body: () async throws(ChannelError) -> Void) async -> ChannelError? {
    do throws(ChannelError) {
      try await body()
      return nil
    } catch { return error }
  }

  @Test func `messages of every kind go from one client to another`() async throws {
    try await withChannels { _, url in
      let (near, far) = (ChannelClient(url), ChannelClient(url))
      let subscription = try await far.subscribe("chat")
      let cursor = try await near.publish("hello", to: "chat", event: "greeting")
      try await near.publish(.json("{\"x\": [1, null]}"), to: "chat")
      try await near.publish(.binary([0, 1, 255]), to: "chat", type: "image/png")
      var events = subscription.makeAsyncIterator()
      guard case .message(let first)? = try await events.next(), case .message(let second)? = try await events.next(),
        case .message(let third)? = try await events.next()
      else { return fail("three messages") }
      #expect((first.content, first.event, first.cursor, first.channel) == (.text("hello"), "greeting", cursor, "chat"))
      #expect(first.time > 1_700_000_000_000)
      #expect((second.content, second.type) == (.json("{\"x\":[1,null]}"), "application/json"))
      #expect((third.content, third.type) == (.binary([0, 1, 255]), "image/png"))
      #expect(subscription.cursor == third.cursor)
      let history = try await near.history(of: "chat", since: cursor)
      #expect(history.messages == [second, third])
      #expect(history.cursor == third.cursor)
      // A subscription may begin with what is there, or behind a cursor.
      #expect(try await texts(try await near.subscribe("chat", last: 3), 3) == ["hello", "{\"x\":[1,null]}", "binary"])
      subscription.cancel()
      #expect(try await texts(try await far.subscribe("chat", since: cursor), 2) == ["{\"x\":[1,null]}", "binary"])
      near.close()
      far.close()
    }
  }

  @Test func `one key publishes once, and refusals are typed`() async throws {
    try await withChannels { _, url in
      let client = ChannelClient(url)
      let first = try await client.publish(.text("x"), to: "chat", key: "k")
      #expect(try await client.publish(.text("x"), to: "chat", key: "k") == first)
      let subscription = try await client.subscribe("chat")
      #expect(
        await error { () throws(ChannelError) in _ = try await client.subscribe("chat") }
          == .refused(code: 105, "this client is subscribed to chat already"))
      for wrong in ["", "a\nb"] {
        guard case .refused(100, _)? = await error({ () throws(ChannelError) in _ = try await client.subscribe(wrong) }) else {
          Issue.record("a name that cannot be")
          continue
        }
      }
      guard case .refused(108, _)? = await error({ () throws(ChannelError) in _ = try await client.presence(of: "chat") }),
        case .invalid? = await error({ () throws(ChannelError) in try await client.publish(.json("{"), to: "chat") }),
        case .invalid? = await error({ () throws(ChannelError) in _ = try await client.subscribe("x", info: "{") }),
        case .invalid? = await error({ () throws(ChannelError) in try await client.refresh() })
      else { return fail("a refusal is missing") }
      client.close()
      #expect(await error { () throws(ChannelError) in try await client.publish("x", to: "chat") } == .closed)
      for try await _ in subscription { Issue.record("an event behind the end") }
    }
  }

  @Test func `who comes and goes is told, with what they say of themselves`() async throws {
    try await withChannels(["channels.presence": "true"]) { _, url in
      let (ann, ben) = (ChannelClient(url), ChannelClient(url))
      let subscription = try await ann.subscribe("room", presence: true, info: "{\"name\": \"Ann\"}")
      let other = try await ben.subscribe("room", info: "{\"name\": \"Ben\"}")
      var events = subscription.makeAsyncIterator()
      guard case .presence(true, let joined)? = try await events.next() else { return fail("a join") }
      #expect((joined.info, joined.transport) == ("{\"name\":\"Ben\"}", "ws"))
      #expect(Set(try await ann.presence(of: "room").map { $0.info ?? "" }) == ["{\"name\":\"Ann\"}", "{\"name\":\"Ben\"}"])
      other.cancel()
      guard case .presence(false, let left)? = try await events.next() else { return fail("a leave") }
      #expect(left.client == joined.client)
      ann.close()
      ben.close()
    }
  }

  @Test func `nobody there is an error in time, and a wrong address at once`() async throws {
    var options = ChannelClient.Options()
    options.timeout = .milliseconds(200)
    options.retry = .milliseconds(20)
    guard
      case .timedOut(let reason)? = await error({ () throws(ChannelError) in
        try await ChannelClient("ws://127.0.0.1:1", options).publish("x", to: "chat")
      })
    else { return fail("a timeout") }
    #expect(reason.contains("no connection"))
    guard case .invalid? = await error({ () throws(ChannelError) in _ = try await ChannelClient("nowhere").subscribe("chat") }),
      case .timedOut? = await error({ () throws(ChannelError) in
        _ = try await ChannelClient("ws://127.0.0.1:1", options) { throw CancellationError() }.subscribe("chat")
      }),
      case .refused(7, _)? = await error({ () throws(ChannelError) in
        _ = try await ChannelClient("ws://127.0.0.1:1", options) { throw ChannelError.refused(code: 7, "signed out") }.subscribe("chat")
      })
    else { return fail("a wrong address") }
    try await withServer { _, url in
      guard
        case .rejected(404, _)? = await error({ () throws(ChannelError) in
          _ = try await ChannelClient(url("http", "nothing/here")).subscribe("chat")
        })
      else { return fail("a refused handshake") }
    }
  }

  @Test func `a task that is cancelled waits no longer, and leaves the channel free`() async throws {
    let client = ChannelClient("ws://127.0.0.1:1")
    let task = Task { try await client.subscribe("chat") }
    await Task.yield()
    task.cancel()
    await #expect(throws: ChannelError.cancelled) { try await task.value }
    client.close()
  }

  @Test func `a slow reader loses nothing and holds nobody up`() async throws {
    try await withChannels(["channels.history": "10000", "channels.bytes": "64MiB"]) { _, url in
      var options = ChannelClient.Options()
      options.bufferedBytes = 20_000
      let client = ChannelClient(url, options)
      let (slow, quick) = (try await client.subscribe("all"), try await client.subscribe("other"))
      let publisher = ChannelClient(url)
      for number in 0..<500 { try await publisher.publish("\(number) " + String(repeating: "x", count: 1000), to: "all") }
      try await publisher.publish("here", to: "other")
      #expect(try await texts(quick, 1) == ["here"])
      let received = try await texts(slow, 500).compactMap { $0.split(separator: " ").first.flatMap { Int($0) } }
      let isComplete = received == Array(0..<500)
      #expect(isComplete, "\(received.count)")
      client.close()
      publisher.close()
    }
  }

  // The same as the simulation, over TCP, with the server's own socket.
  @Test func `connections that break again and again lose nothing and double nothing`() async throws {
    try await withChannels(["channels.history": "10000"]) { _, url in
      let port = try #require(UInt16(url.split(separator: ":").last ?? ""))
      let proxy = try CuttingProxy(to: port)
      defer { proxy.stop() }
      var options = ChannelClient.Options()
      (options.retry, options.maximumRetry) = (.milliseconds(5), .milliseconds(20))
      let clients = (0..<3).map { _ in ChannelClient("ws://127.0.0.1:\(proxy.port)", options) }
      var subscriptions: [ChannelSubscription] = []
      for client in clients { subscriptions.append(try await client.subscribe("chat")) }
      let count = 400
      let readers = subscriptions.map { subscription in Task { try await texts(subscription, count) } }
      var cursors: [String] = []
      for number in 0..<count {
        if number % 4 == 0 { proxy.cut() }
        cursors.append(try await clients[number % 3].publish("\(number)", to: "chat"))
      }
      for reader in readers {
        let heard = try await reader.value
        let isComplete = heard == (0..<count).map { "\($0)" }
        #expect(isComplete, "\(heard.count)")
      }
      // Each answer has the place of its own message.
      #expect(cursors.map { $0.split(separator: ":").last.flatMap { Int($0) } } == (1...count).map { $0 })
      #expect(proxy.accepted > count / 4)
      for client in clients { client.close() }
    }
  }
}

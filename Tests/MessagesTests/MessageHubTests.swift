import MartletIO
import MartletMessages
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct MessageHubTests {
  @Test(arguments: [0, 1]) func `subscribers on every worker get every message once, in order`(publisher: Int) async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    for worker in 0..<2 {
      await workers.run(on: worker) { hub, box in
        box.subscribers["s"] = TestSubscriber()
        box.subscribers["s"]?.subscribe(hub)
      }
      try await workers.until(on: worker) { $1.subscribers["s"]?.heard == ["subscribed"] }
    }
    await workers.publish((1...500).map { "m\($0)" }, on: publisher)
    let expected = (1...500).map { "\($0):m\($0) " }.joined()
    for worker in 0..<2 {
      try await workers.until(on: worker) { _, box in
        box.subscribers["s"]?.take()
        return box.subscribers["s"]?.text.utf8.count == expected.utf8.count
      }
      let isEqual = await workers.run(on: worker) { _, box in box.subscribers["s"]?.text == expected }
      #expect(isEqual)
    }
    try await workers.until(on: publisher) { $1.answers.count == 500 }
    let answers = await workers.run(on: publisher) { $1.answers }
    #expect(answers == (1...500).map(String.init))
  }

  @Test func `a cursor resumes exactly behind what was seen, on either worker`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    await workers.publish(["a", "b", "c", "d"])
    try await workers.until { $1.answers.count == 4 }
    for worker in 0..<2 {
      await workers.run(on: worker) { hub, box in
        box.subscribers["first"] = TestSubscriber()
        box.subscribers["first"]?.subscribe(hub, .test(), .last(2))
      }
      try await workers.until(on: worker) { _, box in box.subscribers["first"]?.take(2) == "3:" }
      let epoch = await workers.run(on: worker) { _, box in box.subscribers["first"]?.subscription?.cursor.epoch ?? "" }
      await workers.run(on: worker) { hub, box in
        box.subscribers["second"] = TestSubscriber()
        box.subscribers["second"]?.subscribe(hub, .test(), .after(Cursor(epoch: epoch, offset: 1)))
      }
      try await workers.until(on: worker) { _, box in box.subscribers["second"]?.take() == "2:b 3:c 4:d " }
    }
  }

  @Test func `a cursor of another epoch, or of what is gone, hears that history was lost and gets the newest state`() async throws {
    var configuration = ChannelConfiguration()
    configuration.defaults.history = 2
    let workers = TestWorkers(1, configuration)
    defer { workers.stop() }
    await workers.publish((1...3000).map(String.init))
    for cursor in [Cursor(epoch: "other", offset: 2999), Cursor(epoch: "", offset: 0)] {
      let (heard, text) = await workers.run { hub, box in
        var cursor = cursor
        if cursor.epoch.isEmpty { cursor.epoch = hub.summary(of: .test())?.cursor.epoch ?? "" }
        let subscriber = TestSubscriber()
        subscriber.subscribe(hub, .test(), .after(cursor))
        defer { hub.close(subscriber.reader) }
        return (subscriber.heard, subscriber.take())
      }
      #expect(heard == ["lost"])
      #expect(text == "3000:3000 ")
    }
  }

  @Test func `a cursor that the home gave out is good on a worker that lags`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    // The name's home is one of the two; the replica on the other may be behind what a publisher was told.
    for (home, other) in [(0, 1), (1, 0)] {
      await workers.run(on: other) { hub, box in
        box.subscribers["keeper"] = TestSubscriber()
        box.subscribers["keeper"]?.subscribe(hub)
      }
      try await workers.until(on: other) { $1.subscribers["keeper"]?.heard.count == 1 }
      let count = await workers.run(on: home) { $1.answers.count }
      await workers.publish(["x"], on: home)
      try await workers.until(on: home) { $1.answers.count == count + 1 }
    }
    let epoch = await workers.run(on: 0) { _, box in box.subscribers["keeper"]?.subscription?.cursor.epoch ?? "" }
    await workers.run(on: 0) { hub, box in
      box.subscribers["late"] = TestSubscriber()
      box.subscribers["late"]?.subscribe(hub, .test(), .after(Cursor(epoch: epoch, offset: 2)))
      box.subscribers["liar"] = TestSubscriber()
      box.subscribers["liar"]?.subscribe(hub, .test(), .after(Cursor(epoch: epoch, offset: 99)))
    }
    try await workers.until { _, box in box.subscribers["late"]?.heard == ["subscribed"] && box.subscribers["liar"]?.heard == ["lost"] }
  }

  @Test func `the same idempotency key is answered with the place of the first message`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    for worker in 0..<2 {
      await workers.run(on: worker) { hub, box in
        for text in ["once", "twice"] {
          hub.publish(.test(text, key: "k"), to: .test()) { box.answers.append("\((try? $0.get())?.offset ?? 0)") }
        }
      }
      try await workers.until(on: worker) { $1.answers == ["1", "1"] }
    }
  }

  @Test func `a full ring between workers delays messages and loses none`() async throws {
    var configuration = ChannelConfiguration()
    configuration.defaults.history = 20_000
    configuration.defaults.bytes = 64 << 20
    let workers = TestWorkers(2, configuration)
    defer { workers.stop() }
    // The worker that is not the name's home subscribes.
    for worker in 0..<2 {
      await workers.run(on: worker) { hub, box in
        box.subscribers["s"] = TestSubscriber()
        box.subscribers["s"]?.subscribe(hub)
      }
      try await workers.until(on: worker) { $1.subscribers["s"]?.heard == ["subscribed"] }
    }
    let home = ChannelName.test().text.isEmpty ? 0 : await workers.run(on: 0) { hub, _ in hub.summary(of: .test()) == nil ? 1 : 0 }
    await workers.publish((1...12_000).map { "m\($0)" }, on: home)
    for worker in 0..<2 {
      try await workers.until(on: worker) { _, box in
        box.subscribers["s"]?.take()
        return box.subscribers["s"]?.text.hasSuffix("12000:m12000 ") == true
      }
      let count = await workers.run(on: worker) { _, box in box.subscribers["s"]?.text.split(separator: " ").count ?? 0 }
      #expect(count == 12_000)
    }
  }

  @Test func `presence tells others who comes and goes, and knows who is there`() async throws {
    var configuration = ChannelConfiguration()
    configuration.defaults.presence = true
    let workers = TestWorkers(2, configuration)
    defer { workers.stop() }
    for worker in 0..<2 {
      await workers.run(on: worker) { hub, box in
        let subscriber = TestSubscriber()
        box.subscribers["s"] = subscriber
        subscriber.subscribe(hub)
      }
      try await workers.until(on: worker) { $1.subscribers["s"]?.subscription != nil }
      await workers.run(on: worker) { hub, box in
        guard let subscription = box.subscribers["s"]?.subscription else { return }
        subscription.watchesPresence = true
        try? hub.join(subscription, as: .test("c\(worker)"))
      }
      // The home may be the other worker.
      try await workers.until(on: 0) { hub, box in
        hub.presence(of: .test()) { result in box.answers = (try? result.get())?.map(\.id) ?? [] }
        return box.answers.contains("c\(worker)")
      }
    }
    try await workers.until(on: 0) { $1.subscribers["s"]?.heard == ["subscribed", "+c1"] }
    await workers.run(on: 0) { hub, box in
      hub.presence(of: .test()) { result in box.answers = (try? result.get())?.map(\.id) ?? [] }
    }
    try await workers.until(on: 0) { $1.answers == ["c0", "c1"] }
    await workers.run(on: 1) { hub, box in if let reader = box.subscribers["s"]?.reader { hub.close(reader) } }
    try await workers.until(on: 0) { $1.subscribers["s"]?.heard == ["subscribed", "+c1", "-c1"] }
  }

  @Test func `of those who came in the same millisecond, who joined first is told first`() async throws {
    var configuration = ChannelConfiguration()
    configuration.defaults.presence = true
    let workers = TestWorkers(1, configuration)
    defer { workers.stop() }
    let names = ["c", "a", "b"]
    await workers.run { hub, box in
      for name in names {
        let subscriber = TestSubscriber()
        box.subscribers[name] = subscriber
        subscriber.subscribe(hub)
        if let subscription = subscriber.subscription { try? hub.join(subscription, as: .test(name)) }
      }
      hub.presence(of: .test()) { result in box.answers = (try? result.get())?.map(\.id) ?? [] }
    }
    try await workers.until(on: 0) { $1.answers == names }
  }

  @Test func `a connection has so many subscriptions and no more`() async {
    var configuration = ChannelConfiguration()
    configuration.subscriptions = 2
    let workers = TestWorkers(1, configuration)
    defer { workers.stop() }
    let heard = await workers.run { hub, box in
      let subscriber = TestSubscriber()
      for name in ["a", "b", "b", "c"] { subscriber.subscribe(hub, .test(name)) }
      defer { hub.close(subscriber.reader) }
      return subscriber.heard
    }
    #expect(heard.prefix(2) == ["subscribed", "subscribed"] && heard.count == 4)
    #expect(heard.last?.contains("channels.subscriptions") == true)
  }
}

extension Member {
  static func test(_ id: String) -> Member {
    Member(id: id, user: nil, info: Slice(), transport: "test", since: WallTime(milliseconds: Int64(id.utf8.count)))
  }
}

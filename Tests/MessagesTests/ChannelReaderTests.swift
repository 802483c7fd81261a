import MartletIO
import MartletMessages
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct ChannelReaderTests {
  /// Everything on one loop: the hub answers at once.
  private func onOneLoop<R: Sendable>(
    _ configuration: ChannelConfiguration = .init(), _ body: @escaping @Sendable (MessageHub) -> R
  ) async -> R {
    let workers = TestWorkers(1, configuration)
    defer { workers.stop() }
    return await workers.run { hub, _ in body(hub) }
  }

  @Test(arguments: [1, 2, 3, 7, 64]) func `a write that ends inside a message goes on with its rest`(room: Int) async {
    let text = await onOneLoop { hub in
      let subscriber = TestSubscriber()
      subscriber.subscribe(hub)
      defer { hub.close(subscriber.reader) }
      for index in 1...50 { hub.publish(.test("message \(index)"), to: .test()) { _ in } }
      while !subscriber.take(room).isEmpty {}
      return subscriber.text
    }
    #expect(text == (1...50).map { "\($0):message \($0) " }.joined())
  }

  @Test func `messages of several channels interleave, each in its order`() async {
    let text = await onOneLoop { hub in
      let subscriber = TestSubscriber()
      for name in ["a", "b"] { subscriber.subscribe(hub, .test(name)) }
      defer { hub.close(subscriber.reader) }
      for index in 1...100 { for name in ["a", "b"] { hub.publish(.test("\(name)\(index)"), to: .test(name)) { _ in } } }
      while !subscriber.take(5).isEmpty {}
      return subscriber.text
    }
    let words = text.split(separator: " ")
    #expect(words.filter { $0.contains(":a") } == (1...100).map { "\($0):a\($0)" })
    #expect(words.filter { $0.contains(":b") } == (1...100).map { "\($0):b\($0)" })
  }

  /// Further back than images are shared, and while live messages go on.
  @Test func `a replay from far behind misses nothing and tells nothing twice`() async {
    var configuration = ChannelConfiguration()
    configuration.defaults.history = 10_000
    configuration.defaults.bytes = 16 << 20
    let text = await onOneLoop(configuration) { hub in
      for index in 1...6000 { hub.publish(.test("m\(index)"), to: .test()) { _ in } }
      let subscriber = TestSubscriber()
      subscriber.subscribe(hub, .test(), .last(6000))
      defer { hub.close(subscriber.reader) }
      for index in 6001...6500 {
        subscriber.take(97)
        hub.publish(.test("m\(index)"), to: .test()) { _ in }
      }
      subscriber.take()
      return subscriber.text
    }
    let isEqual = text == (1...6500).map { "\($0):m\($0) " }.joined()
    #expect(isEqual)
  }

  @Test func `a subscriber that the channel's memory went past must go`() async {
    var configuration = ChannelConfiguration()
    configuration.defaults.history = 10
    let isTooSlow = await onOneLoop(configuration) { hub in
      let subscriber = TestSubscriber()
      subscriber.subscribe(hub)
      defer { hub.close(subscriber.reader) }
      hub.publish(.test("first"), to: .test()) { _ in }
      let before = subscriber.reader.isTooSlow(now: .zero, limit: .seconds(10))
      for index in 1...3000 { hub.publish(.test("\(index)"), to: .test()) { _ in } }
      return [before, subscriber.reader.isTooSlow(now: .zero, limit: .seconds(10))]
    }
    #expect(isTooSlow == [false, true])
  }

  @Test func `after an unsubscription nothing more comes, and the others go on`() async throws {
    let text = try await onOneLoop { hub in
      Result<String, MessageError> { () throws(MessageError) in
        let subscriber = TestSubscriber()
        for name in ["a", "b", "c"] { subscriber.subscribe(hub, .test(name)) }
        defer { hub.close(subscriber.reader) }
        for name in ["a", "b", "c"] { hub.publish(.test(name), to: .test(name)) { _ in } }
        try hub.unsubscribe(subscriber.reader, from: .test("b"))
        hub.publish(.test("again"), to: .test("b")) { _ in }
        return subscriber.take()
      }
    }.get()
    #expect(text == "1:a 1:c ")
  }
}

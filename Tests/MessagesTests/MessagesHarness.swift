import MartletIO
import MartletMessages
import MartletPrimitives
import Testing

/// Messages as `OFFSET:TEXT `.
extension MessageFormat {
  static var words: MessageFormat {
    MessageFormat(name: "words") { _, cursor, message in
      Slice(Array("\(cursor.offset):\(String(repairing: message.payload.bytes)) ".utf8))
    }
  }
}

extension Draft {
  static func test(_ text: String, key: String? = nil) -> Draft { Draft(.text, Slice(Array(text.utf8)), key: key) }
}

extension ChannelName {
  static func test(_ text: String = "chat/general") -> ChannelName {
    guard let name = try? ChannelName(text) else { preconditionFailure("a name of the test") }
    return name
  }
}

/// A subscriber's connection that takes bytes as slowly as the test likes.
final class TestSubscriber: OutputSink, ChannelReaderOwner {
  var source: (any OutputSource)?
  var lastWrite = Instant.zero
  private(set) var heard: [String] = []
  private(set) var text = ""
  private(set) var subscription: Subscription?
  private(set) lazy var reader = {
    let reader = ChannelReader(.words, sink: self)
    reader.owner = self
    reader.start()
    return reader
  }()

  func setNeedsFlush() {}
  func boundKernelOutput() {}

  func subscribe(_ hub: MessageHub, _ name: ChannelName = .test(), _ start: SubscriptionStart = .now) {
    hub.subscribe(reader, to: name, start) { [self] result in
      switch result {
      case .success(let subscription):
        self.subscription = subscription
        heard.append(subscription.lostHistory ? "lost" : "subscribed")
      case .failure(let error): heard.append("\(error)")
      }
    }
  }

  /// At most `limit` bytes, as a socket with so much room would.
  @discardableResult func take(_ limit: Int = .max) -> String {
    var taken = ""
    while taken.utf8.count < limit {
      let vector = IOVector()
      source?.gather(into: vector, .all)
      let bytes = vector.copy(atMost: limit - taken.utf8.count)
      if bytes.isEmpty { break }
      source?.advance(by: bytes.count)
      taken += String(decoding: bytes, as: UTF8.self)
    }
    text += taken
    return taken
  }

  func readerFellBehind(_ reader: ChannelReader, on channel: ChannelName) { heard.append("behind") }
  func reader(_ reader: ChannelReader, didSee event: PresenceEvent) { heard.append("\(event.joined ? "+" : "-")\(event.member.id)") }
}

/// Workers whose loops the tests' hubs live on.
struct TestWorkers: Sendable {
  let workers: [Worker]

  /// Objects of the test that live on a loop.
  final class Box {
    var subscribers: [String: TestSubscriber] = [:]
    var answers: [String] = []
  }

  init(_ count: Int = 2, _ configuration: ChannelConfiguration = .init()) {
    let loops = (0..<count).map { EventLoop(index: $0) }
    let mesh = ChannelMesh(loops: loops)
    workers = loops.map { loop in
      Worker(loop, log: .silent) { context in
        context.register(Box())
        context.register(MessageHub(configuration, mesh: mesh, in: context))
      }
    }
  }

  func run<R: Sendable>(on worker: Int = 0, _ body: @escaping @Sendable (MessageHub, Box) -> R) async -> R {
    await workers[worker].run { context in body(context.service(MessageHub.self), context.service(Box.self)) }
  }

  /// Waits for what other threads do. No deadline of its own: the suite's time limit ends a hang.
  func until(on worker: Int = 0, _ condition: @escaping @Sendable (MessageHub, Box) -> Bool) async throws {
    while await !run(on: worker, condition) { try await Task.sleep(nanoseconds: 1_000_000) }
  }

  func publish(_ texts: [String], to name: ChannelName = .test(), on worker: Int = 0) async {
    await run(on: worker) { hub, box in
      for text in texts {
        hub.publish(.test(text), to: name) { result in
          switch result {
          case .success(let cursor): box.answers.append("\(cursor.offset)")
          case .failure(let error): box.answers.append("\(error)")
          }
        }
      }
    }
  }

  func stop() {
    for worker in workers {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }
}

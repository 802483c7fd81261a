import MartletHTTP
import MartletIO
import MartletPrimitives

@testable import MartletWeb

/// A client that notes what it is sent and can be slow.
final class RecordedTransport: ExchangeTransport, OutputSink {
  private(set) var response: HTTPResponse?
  private(set) var length: HTTPBodyLength?
  private(set) var body: [UInt8] = []
  private(set) var isFinished = false
  private(set) var isAborted = false
  /// Bytes taken before `sendBody` answers false.
  var room = Int.max
  var source: (any OutputSource)?

  var remote: SocketAddress { SocketAddress("192.0.2.1:1") ?? SocketAddress(ip: .anyV6, port: 1) }
  var isSecure: Bool { false }
  var sink: any OutputSink { self }
  var lastWrite: Instant { .zero }
  func setNeedsFlush() {}
  func boundKernelOutput() {}

  func sendHead(_ response: HTTPResponse, body: HTTPBodyLength) { (self.response, length) = (response, body) }

  func sendBody(_ bytes: Slice) -> Bool {
    body += bytes.array
    room -= bytes.count
    return room > 0
  }

  func finishResponse() { isFinished = true }
  func abort() { isAborted = true }
  func acceptBody() {}
  func pauseBody(_ paused: Bool) {}
  var host: HTTPServer? { nil }
  func upgrade(
    _ head: HTTPResponse, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions
  ) -> WebSocketSession? { nil }
}

/// One loop with the services that exchanges need; ends with the test.
struct TestLoop {
  let worker: Worker
  let disk = ThreadPool(name: "test-disk", threads: 2)

  init() {
    let disk = disk
    worker = Worker(EventLoop(index: 0), log: .silent) { context in
      context.register(HeldExchanges(context))
      context.register(FileTransfers(context, pool: disk))
      context.register(Clients())
    }
  }

  /// Clients by number, which live on the loop.
  final class Clients {
    var transports: [RecordedTransport] = []
    var exchanges: [HTTPExchange] = []
    var tickets: [HeldExchange] = []
  }

  func run<R: Sendable>(_ body: @escaping @Sendable (LoopContext, Clients) throws -> R) async throws -> R {
    try await worker.run { context in Result { try body(context, context.service(Clients.self)) } }.get()
  }

  /// Waits for something that threads or timers do.
  func until(_ condition: @escaping @Sendable (Clients) -> Bool) async throws {
    for _ in 0..<2000 {
      if try await run({ _, clients in condition(clients) }) { return }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    throw CancellationError()
  }

  func stop() {
    worker.loop.post { $0.stop() }
    worker.join()
    disk.close()
  }
}

extension TestLoop.Clients {
  /// A request of a new client.
  func get(_ path: String, _ fields: HTTPFields = [:], method: HTTPMethod = .get, room: Int = .max, in context: LoopContext) throws {
    let transport = RecordedTransport()
    transport.room = room
    let request = HTTPRequest(method: method, target: try HTTPTarget(path), fields: fields)
    transports.append(transport)
    exchanges.append(HTTPExchange(request, body: .none, on: transport, in: context))
  }
}

internal import CAllocations
internal import Glibc
internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import Synchronization

/// Counts what a steady fan-out allocates: real connections over loopback, a ring of prepared units, and the number of
/// allocations on the worker's thread for each unit, for few and for many viewers. What is left for each unit does not grow
/// with the viewers.
internal enum AllocationBenchmark {
  private final class Sink: TCPConnectionHandler {
    func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}
    func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {}
  }

  private final class Owner: TCPConnectionHandler, RingReaderOwner {
    let reader: RingReader
    init(_ reader: RingReader) {
      self.reader = reader
      reader.owner = self
    }
    func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {}
    func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { reader.stop() }
    func readerDidBegin(_ reader: RingReader) { reader.start() }
    func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {}
    func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {}
  }

  private final class Flag: Sendable {
    let value = Atomic(false)
  }

  private final class Run {
    var ring: WireRing?
    var owners: [Owner] = []
    var listener: TCPListener?
  }

  internal static func run(viewers: Int, units: Int) {
    let server = Worker(EventLoop(index: 0), log: .silent) { $0.register(Run()) }
    let client = Worker(EventLoop(index: 1), log: .silent) { _ in }
    let port = Mutex<SocketAddress?>(nil)
    wait(server) { context in
      let run = context.service(Run.self)
      guard let path = try? StreamPath("live/bench") else { return }
      let ring = WireRing(
        path: path, format: WireFormat(name: "bench") { _ throws(WireFormatError) in throw WireFormatError("unused") }, limits: .init(),
        latency: .lowest, in: context)
      ring.configure(opening: Slice(), configuration: Slice(), hasVideo: true)
      run.ring = ring
      run.listener = try? TCPListener(
        SocketAddress(ip: .v4(0x7F00_0001), port: 0), in: context, census: ConnectionCensus(), refusal: Slice()
      ) { connection in
        let info = ClientInfo(
          id: "b", role: .viewer, transport: "bench", path: path, remote: connection.remote, since: WallTime(milliseconds: 0))
        let owner = Owner(RingReader(ring: ring, client: info, sink: connection))
        connection.handler = owner
        run.owners.append(owner)
        owner.reader.wait()
      }
      port.withLock { $0 = run.listener?.address }
    }
    guard let address = port.withLock({ $0 }) else { return print("no listener") }
    wait(client) { context in
      for _ in 0..<viewers { _ = try? TCPConnection(connectingTo: address, in: context, handler: Sink()) }
    }
    while count(server) < viewers {}
    // Warm: arrays reach their size, buffers fill.
    for index in 0..<64 { publish(server, index) }
    let before = allocations(server)
    for index in 64..<(64 + units) { publish(server, index) }
    let total = allocations(server) - before
    let perUnit = Double(total) / Double(units)
    print(
      "{\"viewers\": \(viewers), \"units\": \(units), \"allocations_per_unit\": \(perUnit), \"allocations_per_delivery\": \(perUnit / Double(viewers))}"
    )
    for worker in [server, client] {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }

  private static let payload = Slice([UInt8](repeating: 7, count: 1000))

  private static func publish(_ worker: Worker, _ index: Int) {
    wait(worker) { context in
      context.service(Run.self).ring?.append(
        WireUnit(bytes: payload, kind: .video, isJoinPoint: index % 60 == 0, time: Int64(index) * 33))
    }
  }

  private static func count(_ worker: Worker) -> Int {
    let result = Mutex(0)
    wait(worker) { context in result.withLock { $0 = context.service(Run.self).owners.count } }
    return result.withLock { $0 }
  }

  private static func allocations(_ worker: Worker) -> Int {
    let result = Mutex(0)
    wait(worker) { _ in result.withLock { $0 = martlet_allocations() } }
    return result.withLock { $0 }
  }

  /// Runs `body` on the worker's loop and returns when the turn after it has begun, so that what it flushed is counted.
  private static func wait(_ worker: Worker, _ body: @escaping @Sendable (LoopContext) -> Void) {
    let flag = Flag()
    worker.loop.post { context in
      body(context)
      context.schedule(after: .zero) { flag.value.store(true, ordering: .releasing) }
    }
    while !flag.value.load(ordering: .acquiring) { usleep(50) }
  }
}

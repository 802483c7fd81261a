import MartletCrypto
import MartletIO
import MartletPrimitives
import Synchronization
import Testing

/// Echoes what it reads, or does what the test says.
private final class Echo: TCPConnectionHandler {
  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) { connection.write(Slice(copying: bytes)) }
  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {}
}

/// Sends `request`, half-closes nothing, collects until `expected` bytes came or the connection closed.
private final class Collector: TCPConnectionHandler {
  let request: Slice
  let expected: Int
  let done: @Sendable ([UInt8], TCPConnection.CloseReason?) -> Void
  var received: [UInt8] = []

  init(_ request: Slice, expecting expected: Int, done: @escaping @Sendable ([UInt8], TCPConnection.CloseReason?) -> Void) {
    self.request = request
    self.expected = expected
    self.done = done
  }

  func connectionDidOpen(_ connection: TCPConnection) { connection.write(request) }

  func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    received.append(bytes)
    if received.count >= expected { connection.close() }
  }

  func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { done(received, reason) }
}

/// Shared output in three slices, with `isMidMessage` true inside one.
private final class Numbers: OutputSource {
  let slices: [Slice]
  var next = 0, offset = 0
  init(_ slices: [Slice]) { self.slices = slices }

  var isMidMessage: Bool { offset > 0 }
  var hasMore: Bool { next < slices.count }

  func gather(into vector: IOVector, _ scope: GatherScope) {
    for index in next..<slices.count {
      vector.append(slices[index], from: index == next ? offset : 0)
      if scope == .restOfMessage { return }
    }
  }

  func advance(by count: Int) {
    var left = count + offset
    while next < slices.count, left >= slices[next].count {
      left -= slices[next].count
      next += 1
    }
    offset = left
  }
}

/// Gives one slice at a time.
private final class OneByOne: OutputSource {
  private let slices: [Slice]
  private var next = 0
  private var progress = SendProgress()
  init(_ slices: [Slice]) { self.slices = slices }

  var isMidMessage: Bool { progress.isMidItem }
  var hasMore: Bool { next < slices.count }

  func gather(into vector: IOVector, _ scope: GatherScope) {
    progress.gather(into: vector)
    if scope == .all, next < slices.count { vector.append(slices[next]) }
  }

  func advance(by count: Int) {
    progress.advance(by: count) {
      defer { next += 1 }
      return next < slices.count ? slices[next] : nil
    }
  }
}

@Suite(.serialized) struct TCPTests {
  private let loopback = SocketAddress(ip: .v4(0x7F00_0001), port: 0)

  /// A listening worker and a client worker; `serve` prepares each accepted connection.
  private func exchange(
    _ request: Slice, expecting expected: Int, limits: ConnectionCensus.Limits = .init(), refusal: Slice = Slice(),
    tls: TLSContext? = nil, trust: TLSContext? = nil, serve: @escaping @Sendable (TCPConnection) -> Void
  ) async -> (bytes: [UInt8], reason: TCPConnection.CloseReason?) {
    let census = ConnectionCensus(limits: limits)
    let server = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let client = Worker(EventLoop(index: 1), log: .silent) { _ in }
    let loopback = loopback
    let address = await server.run { context -> SocketAddress in
      let secure = tls.map { tls in { tls } }
      guard let listener = try? TCPListener(loopback, tls: secure, in: context, census: census, refusal: refusal, accept: serve)
      else { return loopback }
      context.register(listener)
      return listener.address
    }
    let result = await withCheckedContinuation { continuation in
      client.loop.post { context in
        let collector = Collector(request, expecting: expected) { continuation.resume(returning: ($0, $1)) }
        let secure = trust.flatMap { try? SecureLayer($0, serverName: "localhost") }
        _ = try? TCPConnection(connectingTo: address, secure: secure, in: context, handler: collector)
      }
    }
    for worker in [server, client] {
      worker.loop.post { $0.stop() }
      worker.join()
    }
    return result
  }

  @Test func `ten megabytes come back as they were sent`() async {
    var random = SystemRandomNumberGenerator()
    let block = (0..<1_000_000).map { _ in UInt8.random(in: 0...255, using: &random) }
    let request = Slice(Array(repeating: block, count: 10).flatMap { $0 })
    let result = await exchange(request, expecting: request.count) { $0.handler = Echo() }
    #expect(Slice(result.bytes) == request && result.reason == .local)
  }

  @Test func `a megabyte comes back over TLS, and the listener hands out secured connections only`() async throws {
    let issued = try Certificate.selfSigned(names: ["localhost"], now: WallTime(milliseconds: 1_790_000_000_000))
    let identity = TLSContext.Identity(certificateChainPEM: issued.certificatePEM, privateKeyPEM: issued.privateKeyPEM)
    let tls = try TLSContext.server([identity], alpn: ["test"])
    let trust = try TLSContext.client(.insecure, alpn: ["test"])
    let request = Slice((0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) })
    let result = await exchange(request, expecting: request.count, tls: tls, trust: trust) { connection in
      #expect(connection.isSecure && connection.applicationProtocol == "test")
      connection.handler = Echo()
    }
    #expect(Slice(result.bytes) == request && result.reason == .local)
  }

  /// Sixteen connections are written to as a batch.
  @Test(.timeLimit(.minutes(5))) func `a source that does not give all at once is sent to its end, in a batch too`() async {
    let slices = (0..<1000).map { Slice([UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 3)) }
    let expected = slices.flatMap(\.array)
    let server = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let client = Worker(EventLoop(index: 1), log: .silent) { _ in }
    let loopback = loopback
    final class Accepted { var connections: [TCPConnection] = [] }
    let address = await server.run { context -> SocketAddress in
      let accepted = Accepted()
      context.register(accepted)
      let listener = try? TCPListener(loopback, in: context, census: ConnectionCensus(limits: .init()), refusal: Slice()) { connection in
        connection.handler = Echo()
        accepted.connections.append(connection)
        guard accepted.connections.count == 16 else { return }
        for connection in accepted.connections { connection.source = OneByOne(slices) }
      }
      if let listener { context.register(listener) }
      return listener?.address ?? loopback
    }
    let received = await withTaskGroup(of: [UInt8].self) { group in
      for _ in 0..<16 {
        group.addTask {
          await withCheckedContinuation { continuation in
            client.loop.post { context in
              let collector = Collector([], expecting: expected.count) { bytes, _ in continuation.resume(returning: bytes) }
              _ = try? TCPConnection(connectingTo: address, in: context, handler: collector)
            }
          }
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    let count = received.count { $0 == expected }
    #expect(count == 16)
    for worker in [server, client] {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }

  @Test func `replies stand between whole messages of the shared source`() async {
    let messages = (0..<40).map { Slice([UInt8](repeating: UInt8($0), count: 100_000)) }
    let reply = [UInt8](repeating: 255, count: 10)
    let result = await exchange([1], expecting: 4_000_010) { connection in
      connection.handler = Echo()
      connection.source = Numbers(messages)
      connection.context.schedule(after: .milliseconds(1)) { connection.write(reply) }
      connection.write(reply.dropLast(1).map { $0 })
    }
    // The echo of the request's one byte completes the count; no message is torn.
    var index = 0
    var order: [UInt8] = []
    while index < result.bytes.count {
      let value = result.bytes[index]
      let run = result.bytes[index...].prefix { $0 == value }.count
      if value < 40 && value != 1 { #expect(run == 100_000, "message \(value) is torn") }
      order.append(value)
      index += run
    }
    #expect(order.filter { $0 < 40 }.count >= 40)
  }

  @Test func `a handler may close its connection from inside every event`() async {
    final class Closer: TCPConnectionHandler {
      func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
        connection.write([1])
        connection.close()
        connection.close()
        connection.write([2])
      }
      func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { connection.close() }
    }
    let result = await exchange([7], expecting: 1) { $0.handler = Closer() }
    #expect(result.bytes == [])
  }

  @Test func `what was written before closeAfterFlush arrives, though the peer's bytes were not read`() async {
    let result = await exchange(Slice([UInt8](repeating: 0, count: 500_000)), expecting: .max) { connection in
      connection.handler = Echo()
      connection.pauseReading()
      connection.write(Array("refused".utf8))
      connection.closeAfterFlush()
    }
    #expect(String(decoding: result.bytes, as: UTF8.self) == "refused")
  }

  @Test func `the connection over the limit reads the refusal`() async {
    let result = await exchange(Slice(), expecting: .max, limits: .init(total: 0), refusal: Slice(Array("full".utf8))) { _ in
      Issue.record("a connection over the limit was accepted")
    }
    #expect(String(decoding: result.bytes, as: UTF8.self) == "full")
  }
}

@Suite struct LoopTests {
  @Test func `timers fire in order, and a cancelled one never`() async {
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let order = Mutex<[Int]>([])
    await withCheckedContinuation { continuation in
      worker.loop.post { context in
        context.schedule(after: .milliseconds(20)) {
          order.withLock { $0.append(2) }
          continuation.resume()
        }
        context.schedule(after: .milliseconds(5)) { order.withLock { $0.append(1) } }
        let cancelled = context.schedule(after: .milliseconds(1)) { order.withLock { $0.append(0) } }
        context.cancel(cancelled)
      }
    }
    worker.loop.post { $0.stop() }
    worker.join()
    #expect(order.withLock { $0 } == [1, 2])
  }

  @Test func `an actor may run on a loop`() async {
    actor Counter {
      nonisolated let loop: EventLoop
      nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
      var count = 0
      init(loop: EventLoop) { self.loop = loop }
      func add() -> Bool {
        count += 1
        return loop.isCurrent
      }
    }
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let onLoop = await Counter(loop: worker.loop).add()
    #expect(onLoop)
    worker.loop.post { $0.stop() }
    worker.join()
  }
}

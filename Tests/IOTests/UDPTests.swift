import MartletIO
import MartletPrimitives
import Synchronization
import Testing

/// Collects datagrams until `expected` have come.
private final class Receiver: UDPSocketHandler {
  let expected: Int
  let done: @Sendable ([[UInt8]]) -> Void
  var datagrams: [[UInt8]] = []

  init(expecting expected: Int, done: @escaping @Sendable ([[UInt8]]) -> Void) {
    self.expected = expected
    self.done = done
  }

  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    datagrams.append(Array(datagram))
    if datagrams.count == expected { done(datagrams) }
  }
}

private final class Echo: UDPSocketHandler {
  func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
    socket.send(UnsafeRawBufferPointer(datagram).bytes, to: peer)
  }
}

@Suite struct UDPTests {
  private func echoed(_ sizes: [Int], server bound: SocketAddress? = nil) async -> (sent: [[UInt8]], received: [[UInt8]], calls: Int) {
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let sent = sizes.enumerated().map { index, size in (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) } }
    let calls = Mutex(0)
    let received = await withCheckedContinuation { (continuation: CheckedContinuation<[[UInt8]], Never>) in
      worker.loop.post { context in
        let loopback = SocketAddress(ip: .v4(0x7F00_0001), port: 0)
        guard let server = try? UDPSocket(bound ?? loopback, in: context), let client = try? UDPSocket(loopback, in: context) else {
          return continuation.resume(returning: [])
        }
        server.handler = Echo()
        client.handler = Receiver(expecting: sizes.count) { datagrams in continuation.resume(returning: datagrams) }
        for datagram in sent { client.send(datagram.span.bytes, to: SocketAddress(ip: loopback.ip, port: server.local.port)) }
        client.flush()
        calls.withLock { $0 = client.statistics.sendCalls }
      }
    }
    worker.loop.post { $0.stop() }
    worker.join()
    return (sent, received, calls.withLock { $0 })
  }

  @Test func `a frame's packets of one size and a shorter last one leave in one call and come back one by one`() async {
    let result = await echoed(Array(repeating: 1200, count: 30) + [700])
    #expect(result.received == result.sent)
    #expect(result.calls == 1)
  }

  @Test func `datagrams of all sizes keep their bounds and order`() async {
    let result = await echoed([1, 1500, 1500, 2, 3, 3, 900, 901, 900, 1, 1])
    #expect(result.received == result.sent)
  }

  @Test func `a socket of both families answers IPv4 peers`() async {
    let result = await echoed([100, 200], server: SocketAddress(ip: .anyV6, port: 0))
    #expect(result.received == result.sent)
  }

  @Test func `what cannot be a datagram is not sent`() async {
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let sent = await worker.run { context -> Int in
      guard let socket = try? UDPSocket(SocketAddress(ip: .v4(0x7F00_0001), port: 0), in: context) else { return -1 }
      socket.send([UInt8]().span.bytes, to: socket.local)
      socket.send([UInt8](repeating: 0, count: 1501).span.bytes, to: socket.local)
      socket.flush()
      return socket.statistics.sent
    }
    worker.loop.post { $0.stop() }
    worker.join()
    #expect(sent == 0)
  }

  @Test func `a branch brings what its peer sends to the socket that made it, until it is closed`() async throws {
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let port = SharedPort.self
    await worker.run { context in if let made = try? SharedPort(in: context) { context.register(made) } }
    for target in 0..<2 {
      await worker.run { context in context.service(port).branch(to: target) }
      for _ in 0..<5 {
        await worker.run { context in context.service(port).send() }
        while await !worker.run({ context in context.service(port).hasArrived }) { try await Task.sleep(for: .milliseconds(2)) }
      }
      let counts = await worker.run { context in context.service(port).takeCounts() }
      #expect(counts[target] == 5 && counts[1 - target] == 0)
    }
    worker.loop.post { $0.stop() }
    worker.join()
  }
}

/// Two sockets on one port and a client of theirs, all on one loop.
private final class SharedPort {
  private final class Counter: UDPSocketHandler {
    var count = 0
    func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
      count += 1
    }
  }

  private let sockets: [UDPSocket]
  private let client: UDPSocket
  private let counters = [Counter(), Counter()]
  private var branch: UDPBranch?
  private var sent = 0

  init(in context: LoopContext) throws(SystemError) {
    let loopback = SocketAddress(ip: .v4(0x7F00_0001), port: 0)
    let first = try UDPSocket(loopback, in: context, sharesPort: true)
    sockets = [first, try UDPSocket(first.local, in: context, sharesPort: true)]
    client = try UDPSocket(loopback, in: context)
    for (socket, counter) in zip(sockets, counters) { socket.handler = counter }
  }

  func branch(to index: Int) {
    branch?.close()
    branch = try? sockets[index].branch(to: client.local)
  }

  func send() {
    sent += 1
    client.send([1, 2, 3].span.bytes, to: sockets[0].local)
  }

  var hasArrived: Bool { counters[0].count + counters[1].count == sent }

  func takeCounts() -> [Int] {
    let counts = counters.map(\.count)
    for counter in counters { counter.count = 0 }
    sent = 0
    return counts
  }
}

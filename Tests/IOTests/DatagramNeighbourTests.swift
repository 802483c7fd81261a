import MartletIO
import MartletPrimitives
import Testing

/// Sockets of one loop that send to each other without the kernel.
@Suite struct DatagramNeighbourTests {
  private final class Ear: UDPSocketHandler {
    var heard: [(bytes: [UInt8], from: SocketAddress)] = []
    var batches = 0
    let answer: UInt8?

    init(answer: UInt8? = nil) { self.answer = answer }

    func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {
      heard.append((Array(datagram), peer))
      // What came may be changed where it lies.
      datagram[0] = 0xFF
      if let answer { socket.send([answer].span.bytes, to: peer) }
    }

    func socketDidReceiveBatch(_ socket: UDPSocket) { batches += 1 }
  }

  private struct Heard: Sendable {
    var first: [[UInt8]] = [], second: [[UInt8]] = []
    var sources: [SocketAddress] = []
    var addresses: [SocketAddress] = []
    var calls = 0, batches = 0
  }

  private func exchange(_ firstAddress: SocketAddress, closing: Bool = false) async -> Heard? {
    let worker = Worker(EventLoop(index: 0), log: .silent) { _ in }
    let heard = await withCheckedContinuation { (continuation: CheckedContinuation<Heard?, Never>) in
      worker.loop.post { context in
        let loopback = SocketAddress(ip: .v4(0x7F00_0001), port: 0)
        guard let first = try? UDPSocket(firstAddress, in: context), let second = try? UDPSocket(loopback, in: context) else {
          return continuation.resume(returning: nil)
        }
        let (ear, other) = (Ear(), Ear(answer: 9))
        (first.handler, second.handler) = (ear, other)
        for socket in [first, second] { socket.becomeNeighbour() }
        for number in 1...3 as ClosedRange<UInt8> { first.send([number, number].span.bytes, to: second.local) }
        if closing { second.close() }
        context.schedule(after: .milliseconds(1)) {
          continuation.resume(
            returning: Heard(
              first: ear.heard.map(\.bytes), second: other.heard.map(\.bytes), sources: other.heard.map(\.from),
              addresses: [first.local, second.local], calls: first.statistics.sendCalls + second.statistics.sendCalls,
              batches: other.batches))
        }
      }
    }
    worker.loop.post { $0.stop() }
    worker.join()
    return heard
  }

  @Test func `what neighbours send each other arrives in order without a system call`() async throws {
    let heard = try #require(await exchange(SocketAddress(ip: .v4(0x7F00_0001), port: 0)))
    #expect(heard.second == [[1, 1], [2, 2], [3, 3]] && heard.first == [[9], [9], [9]])
    #expect(heard.sources == Array(repeating: heard.addresses[0], count: 3) && heard.calls == 0 && heard.batches == 1)
  }

  @Test func `a socket at all addresses is found, and seems to send from the one it sends to`() async throws {
    let heard = try #require(await exchange(SocketAddress(ip: .anyV4, port: 0)))
    let source = SocketAddress(ip: .v4(0x7F00_0001), port: heard.addresses[0].port)
    #expect(heard.second.count == 3 && heard.sources == [source, source, source] && heard.first == [[9], [9], [9]])
  }

  @Test func `what is on its way to a socket that is closed is lost`() async throws {
    let heard = try #require(await exchange(SocketAddress(ip: .v4(0x7F00_0001), port: 0), closing: true))
    #expect(heard.second.isEmpty && heard.first.isEmpty)
  }
}

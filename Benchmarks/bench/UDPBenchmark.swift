internal import Glibc
internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// The sending side of an SFU: each picture is six packets of 1,128 bytes to each of N peers that really read. Compares a
/// `sendto` for each packet with `UDPSocket`, by the CPU time of the sending thread.
internal enum UDPBenchmark {
  private static let size = 1128, packetsPerPicture = 6

  private final class Peers: UDPSocketHandler {
    var sockets: [UDPSocket] = []
    func socket(_ socket: UDPSocket, didReceive datagram: UnsafeMutableRawBufferPointer, from peer: SocketAddress, ecn: UInt8) {}
  }

  internal static func run(peers: Int, pictures: Int) {
    let receiver = Worker(EventLoop(index: 0), log: .silent) { $0.register(Peers()) }
    let addresses = collect(receiver, peers)
    let plain = sendEach(addresses, pictures)
    let sender = Worker(EventLoop(index: 1), log: .silent) { _ in }
    let (batched, calls) = sendBatched(sender, addresses, pictures)
    let packets = Double(peers * pictures * packetsPerPicture)
    let perPacket = { (span: TimeSpan) in Double(span.nanoseconds) / packets / 1000 }
    print(
      "{\"peers\": \(peers), \"packets\": \(Int(packets)), \"sendto_us\": \(perPacket(plain)), \"udpsocket_us\": \(perPacket(batched)), "
        + "\"ratio\": \(perPacket(batched) / perPacket(plain)), \"packets_per_call\": \(packets / Double(max(1, calls)))}")
    for worker in [receiver, sender] {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }

  private static func collect(_ worker: Worker, _ count: Int) -> [SocketAddress] {
    let result = Mutex<[SocketAddress]?>(nil)
    worker.loop.post { context in
      let peers = context.service(Peers.self)
      for _ in 0..<count {
        guard let socket = try? UDPSocket(SocketAddress(ip: .v4(0x7F00_0001), port: 0), in: context, buffer: 1 << 20) else { continue }
        socket.handler = peers
        peers.sockets.append(socket)
      }
      result.withLock { $0 = peers.sockets.map(\.local) }
    }
    while true {
      if let addresses = result.withLock({ $0 }) { return addresses }
      usleep(100)
    }
  }

  private static func sendEach(_ addresses: [SocketAddress], _ pictures: Int) -> TimeSpan {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(descriptor) }
    let payload = [UInt8](repeating: 7, count: size)
    var targets = addresses.map { address in
      var target = sockaddr_in()
      target.sin_family = sa_family_t(AF_INET)
      target.sin_port = address.port.bigEndian
      target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      return target
    }
    let start = threadTime()
    for _ in 0..<pictures {
      for index in targets.indices {
        withUnsafePointer(to: &targets[index]) {
          $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { target in
            for _ in 0..<packetsPerPicture {
              sendto(descriptor, payload, size, Int32(MSG_DONTWAIT), target, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
          }
        }
      }
      usleep(5000)
    }
    return threadTime() - start
  }

  private static func sendBatched(_ worker: Worker, _ addresses: [SocketAddress], _ pictures: Int) -> (TimeSpan, Int) {
    let result = Mutex<(TimeSpan, Int)?>(nil)
    worker.loop.post { context in
      guard let socket = try? UDPSocket(SocketAddress(ip: .v4(0x7F00_0001), port: 0), in: context) else { return }
      let payload = [UInt8](repeating: 7, count: size)
      let start = threadTime()
      for _ in 0..<pictures {
        for address in addresses { for _ in 0..<packetsPerPicture { socket.send(payload.span.bytes, to: address) } }
        socket.flush()
        usleep(5000)
      }
      let used = threadTime() - start
      result.withLock { $0 = (used, socket.statistics.sendCalls) }
    }
    while true {
      if let figures = result.withLock({ $0 }) { return figures }
      usleep(1000)
    }
  }

  private static func threadTime() -> TimeSpan {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return TimeSpan(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }
}

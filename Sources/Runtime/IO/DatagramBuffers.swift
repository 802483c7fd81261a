internal import CShims
internal import MartletPrimitives

/// What the UDP sockets of a loop read into and write out of. A turn belongs to one socket at a time, so all share: a TURN server has
/// thousands of sockets, and none holds memory for packets.
internal final class DatagramBuffers {
  /// GRO joins up to 64 KiB.
  internal static let receiveSlot = 65_536
  internal static let receiveBatch = 16
  private static let slabSize = 1 << 20

  internal let inbox = UnsafeMutableRawBufferPointer.allocate(byteCount: receiveSlot * receiveBatch, alignment: 16)
  internal let slab = UnsafeMutableRawBufferPointer.allocate(byteCount: slabSize, alignment: 16)
  /// Apart, since what is being read may make the slab full.
  internal let incoming = DatagramBuffers.entries(receiveBatch)
  internal let outgoing = DatagramBuffers.entries(Int(MARTLET_UDP_BATCH))
  /// Bytes of the slab that wait to be sent.
  internal private(set) var used = 0
  internal var neighbours = DatagramNeighbours()
  private var waiting: [UDPSocket] = []
  private unowned let context: LoopContext

  internal init(of context: LoopContext) { self.context = context }

  deinit {
    inbox.deallocate()
    slab.deallocate()
    incoming.deallocate()
    outgoing.deallocate()
  }

  private static func entries(_ count: Int) -> UnsafeMutablePointer<martlet_datagram> {
    let entries = UnsafeMutablePointer<martlet_datagram>.allocate(capacity: count)
    entries.initialize(repeating: martlet_datagram(), count: count)
    return entries
  }

  /// Where the next datagram may be written.
  internal func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer {
    if used + size > slab.count { flush() }
    return UnsafeMutableRawBufferPointer(rebasing: slab[used..<used + size])
  }

  internal func commit(_ size: Int) { used += size }

  /// `socket` has the first datagram of this turn.
  internal func add(_ socket: UDPSocket) {
    if waiting.isEmpty { context.atEndOfTurn { [weak self] in self?.flush() } }
    waiting.append(socket)
  }

  /// For another socket of the loop, which hears it when the turn ends.
  /// - Returns: false when it is lost.
  internal func handOver(_ datagram: UnsafeRawBufferPointer, from source: SocketAddress, to target: UDPSocket) -> Bool {
    if neighbours.isEmpty {
      context.atEndOfTurn { [weak self] in
        var delivery = self?.neighbours.take()
        delivery?.deliver()
      }
    }
    return neighbours.append(datagram, from: source, to: target)
  }

  /// Sends what all sockets have gathered.
  internal func flush() {
    for socket in waiting { socket.flush() }
    waiting.removeAll(keepingCapacity: true)
    used = 0
  }
}

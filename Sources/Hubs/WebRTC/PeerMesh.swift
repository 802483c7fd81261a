package import MartletIO
package import MartletPrimitives
internal import Synchronization

/// What workers that share a port tell one another.
package enum PeerMessage: WorkerMessage {
  /// What came in for sessions of the other, in a turn.
  package struct Datagrams: Sendable {
    var bytes = DatagramBatch()
    var senders: [SocketAddress] = []
    var count: Int { senders.count }

    mutating func append(_ datagram: RawSpan, from sender: SocketAddress) {
      bytes.append(datagram)
      senders.append(sender)
    }
  }

  case datagrams(Datagrams)
  /// What comes from this address is ours …
  case route(SocketAddress)
  /// … and no longer.
  case unroute(SocketAddress)
  /// What a STUN server saw of the port.
  case mapped(SocketAddress, by: SocketAddress)
  /// A connection of one of the other's sessions, and what has come over it.
  case stream(TCPHandover, Slice)

  package var droppableSize: Int? {
    if case .datagrams(let batch) = self { batch.bytes.byteCount } else { nil }
  }
}

/// What the workers that share a port have in common.
package final class PeerMesh: Sendable {
  internal let rings: WorkerMesh<PeerMessage>
  private let branches = Atomic<Int>(0)
  /// For each datagram the kernel looks through them.
  private static let maximumBranches = 64

  package init(loops: [EventLoop]) { rings = WorkerMesh(loops: loops) }

  internal func takeBranch() -> Bool {
    guard branches.add(1, ordering: .relaxed).newValue <= Self.maximumBranches else {
      returnBranch()
      return false
    }
    return true
  }

  internal func returnBranch() { branches.subtract(1, ordering: .relaxed) }
}

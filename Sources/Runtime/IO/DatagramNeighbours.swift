internal import MartletPrimitives

/// Sockets of one loop that send to each other without the kernel: a relay of a client, and the WebRTC port or another relay that its
/// packets are for. What is sent waits to the end of the turn, as for the kernel, and is then heard as if it had come in.
internal struct DatagramNeighbours {
  fileprivate struct Entry {
    let target: UDPSocket
    let source: SocketAddress
    let end: Int
  }

  /// What may wait in a turn; beyond, it is lost as in a full socket.
  private static let limit = 1 << 20

  private var sockets: [SocketAddress: UDPSocket] = [:]
  /// One alone has nobody to send to, and does not look.
  private var members: Set<ObjectIdentifier> = []
  private var last: (peer: SocketAddress, target: UDPSocket?)?
  private var entries: [Entry] = []
  private var bytes: [UInt8] = []

  internal mutating func add(_ socket: UDPSocket, at address: SocketAddress) {
    sockets[address] = socket
    members.insert(ObjectIdentifier(socket))
    last = nil
  }

  internal mutating func remove(_ socket: UDPSocket, at address: SocketAddress) {
    if sockets[address] === socket { sockets[address] = nil }
    members.remove(ObjectIdentifier(socket))
    last = nil
  }

  /// Asked for each datagram, mostly for the same peer again.
  internal mutating func target(at peer: SocketAddress) -> UDPSocket? {
    guard members.count > 1 else { return nil }
    if let last, last.peer == peer { return last.target }
    let found = sockets[peer]
    last = (peer, found)
    return found
  }

  internal var isEmpty: Bool { entries.isEmpty }

  /// - Returns: false when it is lost.
  internal mutating func append(_ datagram: UnsafeRawBufferPointer, from source: SocketAddress, to target: UDPSocket) -> Bool {
    guard bytes.count + datagram.count <= Self.limit else { return false }
    bytes.append(contentsOf: datagram)
    entries.append(Entry(target: target, source: source, end: bytes.count))
    return true
  }

  /// Empties it. What the sockets' owners send meanwhile waits for the next call.
  internal mutating func take() -> Delivery {
    defer { (entries, bytes) = ([], []) }
    return Delivery(entries: entries, bytes: bytes)
  }

  internal struct Delivery {
    fileprivate let entries: [Entry]
    fileprivate var bytes: [UInt8]

    internal mutating func deliver() {
      let entries = entries
      bytes.withUnsafeMutableBytes { bytes in
        var start = 0
        for entry in entries {
          entry.target.receive(UnsafeMutableRawBufferPointer(rebasing: bytes[start..<entry.end]), fromNeighbour: entry.source)
          start = entry.end
        }
      }
      var told: [ObjectIdentifier] = []
      for entry in entries where !told.contains(ObjectIdentifier(entry.target)) {
        told.append(ObjectIdentifier(entry.target))
        entry.target.didReceiveFromNeighbours()
      }
    }
  }
}

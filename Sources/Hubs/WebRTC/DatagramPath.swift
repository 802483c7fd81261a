package import MartletIO
package import MartletPrimitives

/// Where datagrams leave: a UDP socket, a framed TCP connection, a relay.
package protocol DatagramPath: AnyObject {
  /// Where a datagram of `size` bytes is to be written; `nil` when it cannot be sent. Nothing is sent until `commit`.
  func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer?
  /// Sends the first `size` bytes of what `reserve` answered last.
  func commit(_ size: Int, to peer: SocketAddress)
}

extension DatagramPath {
  package func send(_ bytes: RawSpan, to peer: SocketAddress) {
    guard let slot = reserve(bytes.byteCount) else { return }
    bytes.withUnsafeBytes { slot.copyMemory(from: $0) }
    commit(bytes.byteCount, to: peer)
  }
}

extension UDPSocket: DatagramPath {}

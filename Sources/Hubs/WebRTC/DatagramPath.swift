package import MartletIO
package import MartletPrimitives

/// Where datagrams leave: a UDP socket, a framed TCP connection, a relay.
package protocol DatagramPath: AnyObject {
  /// Sends a datagram of `size` bytes, written in place; `fill` answers false when there is nothing to send after all.
  func send(to peer: SocketAddress, size: Int, fill: (UnsafeMutableRawBufferPointer) -> Bool)
}

extension DatagramPath {
  package func send(_ bytes: RawSpan, to peer: SocketAddress) {
    send(to: peer, size: bytes.byteCount) { slot in
      bytes.withUnsafeBytes { slot.copyMemory(from: $0) }
      return true
    }
  }
}

extension UDPSocket: DatagramPath {}

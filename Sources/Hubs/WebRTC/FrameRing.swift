internal import MartletIO

/// Datagrams that wait for a TCP connection, each behind its length (RFC 4571).
struct FrameRing: ~Copyable {
  private var ring = ByteRing()

  var count: Int { ring.count }

  /// - Parameter limit: of bytes that wait.
  /// - Returns: false when there is no room for the whole datagram.
  mutating func append(_ datagram: UnsafeRawBufferPointer, limit: Int) -> Bool {
    guard let length = UInt16(exactly: datagram.count) else { return false }
    return withUnsafeBytes(of: length.bigEndian) { ring.append($0, datagram, limit: limit) }
  }

  func gather(into vector: IOVector) { ring.gather(into: vector) }
  mutating func advance(by sent: Int) { ring.advance(by: sent) }
}

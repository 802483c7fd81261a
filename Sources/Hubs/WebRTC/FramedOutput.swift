internal import MartletIO

/// What leaves by one connection of a TCP candidate: datagrams behind their lengths (RFC 4571), up to a limit.
final class FramedOutput: OutputSource {
  private var ring = FrameRing()
  /// Of bytes that wait beyond what the kernel takes.
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// A peer that does not keep up loses media first: what is left of the room is for checks, DTLS and data, without which it would
  /// be taken for dead.
  /// - Parameter connection: whose source this is.
  /// - Returns: false when it was dropped.
  func append(_ datagram: UnsafeRawBufferPointer, to connection: TCPConnection) -> Bool {
    let isMedia = datagram.first.map { (128...191).contains($0) } ?? false
    guard connection.isOpen, ring.append(datagram, limit: isMedia ? limit / 4 * 3 : limit) else { return false }
    connection.setNeedsFlush()
    return true
  }

  var isMidMessage: Bool { false }
  var hasMore: Bool { ring.count > 0 }
  func gather(into vector: IOVector, _ scope: GatherScope) { ring.gather(into: vector) }
  func advance(by count: Int) { ring.advance(by: count) }
}

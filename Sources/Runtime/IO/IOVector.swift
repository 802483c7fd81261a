internal import CShims
package import MartletPrimitives

/// Scratch space for one vectored write. What it points at must stay alive and unchanged until the write returns: it is
/// filled and used within one call, from queues that keep their slices until they are told that the bytes have left.
///
/// A class, so that a source fills it through a reference: passing it `inout` costs an exclusivity check for every viewer.
package final class IOVector {
  /// More parts than this gain nothing: a socket buffer is full long before.
  package static let capacity = 128

  internal let parts = UnsafeMutablePointer<iovec>.allocate(capacity: capacity)
  package private(set) var count: Int = 0
  /// Bytes that all parts hold together.
  package private(set) var byteCount = 0

  package init() {}

  package var isFull: Bool { count == Self.capacity }

  /// Adds the bytes of `slice` behind its first `offset`; false when there is no room for another part.
  @discardableResult package func append(_ slice: Slice, from offset: Int = 0) -> Bool {
    guard count < Self.capacity else { return false }
    guard offset < slice.count else { return true }
    return slice.withUnsafeBytes { append($0[offset...]) }
  }

  /// The same for bytes that lie elsewhere.
  @discardableResult package func append(_ bytes: UnsafeRawBufferPointer.SubSequence) -> Bool {
    guard count < Self.capacity else { return false }
    let bytes = UnsafeRawBufferPointer(rebasing: bytes)
    guard let start = bytes.baseAddress, !bytes.isEmpty else { return true }
    parts[count] = iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: bytes.count)
    count += 1
    byteCount += bytes.count
    return true
  }

  /// The first bytes of all parts as one run, for a sink that cannot pass the parts on: TLS, an HTTP/2 stream.
  package func copy(atMost limit: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(min(limit, byteCount))
    for index in 0..<count where bytes.count < limit {
      let part = UnsafeRawBufferPointer(start: parts[index].iov_base, count: parts[index].iov_len)
      bytes.append(contentsOf: part.prefix(limit - bytes.count))
    }
    return bytes
  }

  package func removeAll() {
    count = 0
    byteCount = 0
  }

  deinit { parts.deallocate() }
}

/// Where a connection's bytes come from besides its own replies: a cursor into a ring of wire slices that many viewers share.
package protocol OutputSource: AnyObject {
  /// The last write ended inside a message, so that nothing else may be sent before its rest.
  var isMidMessage: Bool { get }
  /// Something is ready beyond what has left: one vector does not hold everything.
  var hasMore: Bool { get }
  /// Adds what is ready to go, from where the last `advance` left off.
  func gather(into vector: IOVector, _ scope: GatherScope)
  /// `count` bytes of what was gathered have left.
  func advance(by count: Int)
}

package enum GatherScope: Sendable {
  /// Only what completes the message that was cut short.
  case restOfMessage
  case all
}

/// Where a source's bytes go: a TCP connection, or one stream of an HTTP/2 connection.
package protocol OutputSink: AnyObject {
  /// Setting it starts the pull.
  var source: (any OutputSource)? { get set }
  /// When the peer last took bytes.
  var lastWrite: Instant { get }
  /// The source has something new.
  func setNeedsFlush()
  /// Keeps the kernel from hiding the peer's lag.
  func boundKernelOutput()
}

internal import MartletICE
internal import MartletIO
internal import MartletPrimitives

/// Framed datagrams that wait for a TCP connection: a ring of bytes that grows with need, up to a limit.
struct FrameRing: ~Copyable {
  private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var head = 0
  private(set) var count = 0

  /// Given back when empty: a burst has blown it up.
  private static let kept = 64 << 10
  private static let smallest = 8 << 10

  deinit { storage.deallocate() }

  /// - Parameter limit: of bytes that wait.
  /// - Returns: false when there is no room for the whole datagram.
  mutating func append(_ datagram: UnsafeRawBufferPointer, limit: Int) -> Bool {
    let total = count + ICEStream.headerBytes + datagram.count
    guard total <= limit, let length = UInt16(exactly: datagram.count) else { return false }
    if total > storage.count { grow(to: total) }
    withUnsafeBytes(of: length.bigEndian) { put($0) }
    put(datagram)
    return true
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer) {
    let tail = (head + count) % storage.count
    let first = min(bytes.count, storage.count - tail)
    UnsafeMutableRawBufferPointer(rebasing: storage[tail...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<first]))
    storage.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first...]))
    count += bytes.count
  }

  private mutating func grow(to total: Int) {
    var size = max(Self.smallest, storage.count)
    while size < total { size *= 2 }
    let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    let (first, second) = parts
    larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: first))
    UnsafeMutableRawBufferPointer(rebasing: larger[first.count...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: second))
    storage.deallocate()
    (storage, head) = (larger, 0)
  }

  private var parts: (UnsafeRawBufferPointer.SubSequence, UnsafeRawBufferPointer.SubSequence) {
    let bytes = UnsafeRawBufferPointer(storage)
    let first = min(count, storage.count - head)
    return (bytes[head..<head + first], bytes[0..<count - first])
  }

  func gather(into vector: IOVector) {
    vector.append(parts.0)
    vector.append(parts.1)
  }

  mutating func advance(by sent: Int) {
    let taken = min(sent, count)
    count -= taken
    guard count > 0 else {
      head = 0
      if storage.count > Self.kept { release() }
      return
    }
    head = (head + taken) % storage.count
  }

  private mutating func release() {
    storage.deallocate()
    storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  }
}

/// Bytes that wait for a connection: a ring that grows with need, up to a limit, and is given back when a burst has left.
package struct ByteRing: ~Copyable {
  private var storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  private var head = 0
  package private(set) var count = 0

  package init() {}

  /// Given back when empty: a burst has blown it up.
  private static let kept = 64 << 10
  private static let smallest = 8 << 10

  deinit { storage.deallocate() }

  /// One message in two parts, the first of which may be a header.
  /// - Parameter limit: of bytes that wait.
  /// - Returns: false when there is no room for all of it.
  package mutating func append(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, limit: Int) -> Bool {
    let total = count + first.count + second.count
    guard total <= limit else { return false }
    if total > storage.count { grow(to: total) }
    put(first)
    put(second)
    return true
  }

  private mutating func put(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty else { return }
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

  package func gather(into vector: IOVector) {
    vector.append(parts.0)
    vector.append(parts.1)
  }

  package mutating func advance(by sent: Int) {
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

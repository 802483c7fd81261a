/// Datagrams one behind the other in one buffer, which is used again and again: what a core has to send, or what it has decrypted.
public struct DatagramBatch: Sendable {
  @usableFromInline var bytes: [UInt8] = []
  @usableFromInline var ends: [Int] = []

  @inlinable public init() {}

  @inlinable public var count: Int { ends.count }
  @inlinable public var isEmpty: Bool { ends.isEmpty }
  @inlinable public var byteCount: Int { bytes.count }

  @inlinable public subscript(index: Int) -> RawSpan {
    @_lifetime(borrow self) get { bytes.span.bytes.extracting((index == 0 ? 0 : ends[index - 1])..<ends[index]) }
  }

  @inlinable public mutating func append(_ datagram: RawSpan) {
    bytes.append(datagram)
    ends.append(bytes.count)
  }

  @inlinable public mutating func append(contentsOf datagram: UnsafeRawBufferPointer) {
    bytes.append(contentsOf: datagram)
    ends.append(bytes.count)
  }

  /// Empties it; a buffer that a burst has blown up is given back.
  @inlinable public mutating func removeAll() {
    ends.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: bytes.capacity <= 64 << 10)
  }
}

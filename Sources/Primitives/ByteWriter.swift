/// Appends fields to a growing buffer, big-endian unless the name says otherwise.
public struct ByteWriter: Sendable {
  public var bytes: [UInt8]

  @inlinable public init(capacity: Int = 0) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  /// Continues behind `bytes`.
  @inlinable public init(appendingTo bytes: [UInt8]) { self.bytes = bytes }

  @inlinable public var count: Int { bytes.count }

  @inlinable public mutating func u8(_ value: UInt8) { bytes.append(value) }
  @inlinable public mutating func u16(_ value: UInt16) { integer(value.bigEndian) }
  @inlinable public mutating func u24(_ value: UInt32) {
    u8(UInt8(truncatingIfNeeded: value >> 16))
    u16(UInt16(truncatingIfNeeded: value))
  }
  @inlinable public mutating func u32(_ value: UInt32) { integer(value.bigEndian) }
  @inlinable public mutating func u64(_ value: UInt64) { integer(value.bigEndian) }
  @inlinable public mutating func u16le(_ value: UInt16) { integer(value.littleEndian) }
  @inlinable public mutating func u32le(_ value: UInt32) { integer(value.littleEndian) }
  @inlinable public mutating func double(_ value: Double) { u64(value.bitPattern) }

  @inlinable public mutating func string(_ text: String) { bytes.append(contentsOf: text.utf8) }
  @inlinable public mutating func append(_ span: RawSpan) { bytes.append(span) }
  @inlinable public mutating func append(_ slice: Slice) { slice.withUnsafeBytes { bytes.append(contentsOf: $0) } }
  @inlinable public mutating func append(_ array: [UInt8]) { bytes.append(contentsOf: array) }
  @inlinable public mutating func zeros(_ n: Int) { bytes.append(contentsOf: repeatElement(0, count: n)) }

  /// Overwrites four bytes written before, as for a length known only at the end. `at + 4` must not exceed `count`.
  @inlinable public mutating func patchU32(_ value: UInt32, at: Int) {
    precondition(at >= 0 && at + 4 <= bytes.count, "a patch lies inside what was written")
    withUnsafeBytes(of: value.bigEndian) { field in
      for i in 0..<4 { bytes[at + i] = field[i] }
    }
  }

  /// What was written, shared without a copy.
  @inlinable public var slice: Slice { Slice(bytes) }

  @inlinable public mutating func removeAll(keepingCapacity: Bool = true) { bytes.removeAll(keepingCapacity: keepingCapacity) }

  @inlinable mutating func integer<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }
}

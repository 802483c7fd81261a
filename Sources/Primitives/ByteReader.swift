/// Reads fields from a peer's bytes, front to back. Every read checks the length; nothing here can trap.
public struct ByteReader: ~Escapable {
  @usableFromInline let span: RawSpan
  @usableFromInline var cursor = 0

  @inlinable @_lifetime(copy span)
  public init(_ span: RawSpan) { self.span = span }

  /// Bytes consumed so far.
  @inlinable public var offset: Int { cursor }
  @inlinable public var remaining: Int { span.byteCount - offset }
  @inlinable public var isAtEnd: Bool { remaining == 0 }

  /// Reserves `n` bytes and answers where they begin.
  @inlinable @_lifetime(self: copy self)
  mutating func take(_ n: Int) throws(ParseError) -> Int {
    guard n >= 0, n <= remaining else { throw .truncated(at: offset, needed: n) }
    defer { cursor += n }
    return offset
  }

  @inlinable @_lifetime(self: copy self)
  mutating func bigEndian<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(ParseError) -> T {
    let at = try take(MemoryLayout<T>.size)
    return T(bigEndian: span.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: T.self))
  }

  @inlinable @_lifetime(self: copy self)
  mutating func littleEndian<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) throws(ParseError) -> T {
    let at = try take(MemoryLayout<T>.size)
    return T(littleEndian: span.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: T.self))
  }

  @inlinable @_lifetime(self: copy self) public mutating func u8() throws(ParseError) -> UInt8 { try bigEndian(UInt8.self) }
  @inlinable @_lifetime(self: copy self) public mutating func u16() throws(ParseError) -> UInt16 { try bigEndian(UInt16.self) }
  @inlinable @_lifetime(self: copy self) public mutating func u32() throws(ParseError) -> UInt32 { try bigEndian(UInt32.self) }
  @inlinable @_lifetime(self: copy self) public mutating func u64() throws(ParseError) -> UInt64 { try bigEndian(UInt64.self) }
  @inlinable @_lifetime(self: copy self) public mutating func u16le() throws(ParseError) -> UInt16 { try littleEndian(UInt16.self) }
  @inlinable @_lifetime(self: copy self) public mutating func u32le() throws(ParseError) -> UInt32 { try littleEndian(UInt32.self) }

  @inlinable @_lifetime(self: copy self) public mutating func u24() throws(ParseError) -> UInt32 {
    let (high, low) = (UInt32(try u8()), UInt32(try u16()))
    return high << 16 | low
  }

  /// An IEEE 754 double, big-endian.
  @inlinable @_lifetime(self: copy self) public mutating func double() throws(ParseError) -> Double { Double(bitPattern: try u64()) }

  /// The next `n` bytes, not copied.
  @inlinable @_lifetime(copy self) @_lifetime(self: copy self)
  public mutating func bytes(_ n: Int) throws(ParseError) -> RawSpan {
    let at = try take(n)
    return span.extracting(at..<at + n)
  }

  /// All that is left.
  @inlinable @_lifetime(copy self) @_lifetime(self: copy self)
  public mutating func rest() -> RawSpan {
    let at = offset
    cursor = span.byteCount
    return span.extracting(at..<span.byteCount)
  }

  @inlinable @_lifetime(self: copy self) public mutating func skip(_ n: Int) throws(ParseError) { _ = try take(n) }

  /// UTF-8 text of `n` bytes.
  @inlinable @_lifetime(self: copy self) public mutating func string(_ n: Int) throws(ParseError) -> String {
    let at = offset
    guard let text = String(validating: try bytes(n)) else { throw .invalid("text that is not UTF-8", at: at) }
    return text
  }

  /// The byte `ahead` of the next one, without consuming anything.
  @inlinable public func peek(_ ahead: Int = 0) -> UInt8? {
    guard ahead >= 0, ahead < remaining else { return nil }
    return span.unsafeLoad(fromUncheckedByteOffset: offset + ahead, as: UInt8.self)
  }
}

extension RawSpan {
  /// The byte at `index`, or `nil` outside.
  @inlinable public func byte(at index: Int) -> UInt8? {
    guard index >= 0, index < byteCount else { return nil }
    return unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self)
  }
}

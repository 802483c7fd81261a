/// Reads bit fields, most significant bit first, as codec headers are written.
public struct BitReader: ~Escapable {
  @usableFromInline let span: RawSpan
  @usableFromInline var cursor = 0

  @inlinable @_lifetime(copy span)
  public init(_ span: RawSpan) { self.span = span }

  /// Bits consumed so far.
  @inlinable public var position: Int { cursor }
  @inlinable public var remaining: Int { span.byteCount * 8 - position }

  /// The next `count` bits, at most 32.
  @inlinable @_lifetime(self: copy self)
  public mutating func bits(_ count: Int) throws(ParseError) -> UInt32 {
    guard count >= 0, count <= 32, count <= remaining else { throw .truncated(at: position / 8, needed: (count + 7) / 8) }
    var value: UInt64 = 0
    var left = count
    while left > 0 {
      let byte = span.unsafeLoad(fromUncheckedByteOffset: position >> 3, as: UInt8.self)
      let available = 8 - (position & 7)
      let take = min(available, left)
      let part = (UInt64(byte) >> UInt64(available - take)) & ((1 << UInt64(take)) - 1)
      value = value << UInt64(take) | part
      cursor += take
      left -= take
    }
    return UInt32(truncatingIfNeeded: value)
  }

  @inlinable @_lifetime(self: copy self) public mutating func flag() throws(ParseError) -> Bool { try bits(1) == 1 }

  @inlinable @_lifetime(self: copy self) public mutating func skip(_ count: Int) throws(ParseError) {
    guard count >= 0, count <= remaining else { throw .truncated(at: position / 8, needed: (count + 7) / 8) }
    cursor += count
  }

  /// Unsigned Exp-Golomb, ue(v) of ITU-T H.264 §9.1.
  @inlinable @_lifetime(self: copy self) public mutating func ue() throws(ParseError) -> UInt32 {
    var zeros = 0
    while try !flag() {
      zeros += 1
      guard zeros < 32 else { throw .invalid("an Exp-Golomb code of more than 32 bits", at: position / 8) }
    }
    return try (UInt32(1) << UInt32(zeros)) &- 1 &+ bits(zeros)
  }

  /// Signed Exp-Golomb, se(v).
  @inlinable @_lifetime(self: copy self) public mutating func se() throws(ParseError) -> Int32 {
    let code = Int64(try ue())
    return Int32(truncatingIfNeeded: code & 1 == 1 ? (code + 1) / 2 : -(code / 2))
  }
}

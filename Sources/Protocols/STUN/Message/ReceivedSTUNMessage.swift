internal import MartletPrimitives

/// A message as it was read, with what is needed to check who made it.
package struct ReceivedSTUNMessage: Sendable {
  package private(set) var message: STUNMessage
  package private(set) var hasFingerprint = false
  /// Where the header of MESSAGE-INTEGRITY lies.
  private(set) var integrityOffset: Int?
  /// Where the header of MESSAGE-INTEGRITY-SHA256 lies, and how long its value is: 16 to 32 bytes.
  private(set) var integritySHA256: (offset: Int, bytes: Int)?
  private var count = 0

  /// Reads one whole message and checks FINGERPRINT if there is one. What lies behind an integrity attribute is not
  /// protected by it and is ignored, except the stronger one and FINGERPRINT (RFC 8489 §14.5, §14.6).
  package init(parsing bytes: RawSpan, limits: STUNLimits = STUNLimits()) throws(STUNError) {
    guard bytes.byteCount <= limits.messageBytes else {
      throw .limit("bytes of a STUN message", value: bytes.byteCount, maximum: limits.messageBytes)
    }
    message = try Self.header(bytes)
    var offset = STUN.headerBytes
    while offset < bytes.byteCount {
      count += 1
      guard count <= limits.attributes else { throw .limit("attributes", value: count, maximum: limits.attributes) }
      offset = try readAttribute(bytes, at: offset)
    }
  }

  package var hasIntegrity: Bool { integrityOffset != nil || integritySHA256 != nil }

  private static func header(_ bytes: RawSpan) throws(STUNError) -> STUNMessage {
    let (type, length, cookie, transaction): (UInt16, Int, UInt32, TransactionID)
    do throws(ParseError) {
      var reader = ByteReader(bytes)
      (type, length, cookie) = (try reader.u16(), Int(try reader.u16()), try reader.u32())
      transaction = TransactionID(high: try reader.u32(), low: try reader.u64())
    } catch {
      throw .truncated(error)
    }
    guard type < 0x4000, cookie == STUN.magicCookie else { throw .foreignProtocol(firstByte: UInt8(truncatingIfNeeded: type >> 8)) }
    let actual = bytes.byteCount - STUN.headerBytes
    guard length == actual, length % 4 == 0 else { throw .wrongLength(announced: length, actual: actual) }
    let (kind, method) = STUNMessageType.decode(type)
    return STUNMessage(kind, method, transaction)
  }

  /// Answers where the next attribute begins.
  private mutating func readAttribute(_ bytes: RawSpan, at offset: Int) throws(STUNError) -> Int {
    let (number, value, next): (UInt16, Range<Int>, Int)
    do throws(ParseError) {
      var reader = ByteReader(bytes)
      try reader.skip(offset)
      number = try reader.u16()
      let length = Int(try reader.u16())
      value = reader.offset..<reader.offset + length
      try reader.skip(STUN.padded(length))
      next = reader.offset
    } catch {
      throw .truncated(error)
    }
    guard !hasFingerprint else { throw .behindFingerprint(attribute: number) }
    try take(number, bytes.extracting(value), bytes, at: offset)
    return next
  }

  private mutating func take(_ number: UInt16, _ value: RawSpan, _ bytes: RawSpan, at offset: Int) throws(STUNError) {
    let type = STUNAttributeType(rawValue: number)
    switch type {
    case .fingerprint: try checkFingerprint(value, bytes, at: offset)
    case .messageIntegritySHA256 where integritySHA256 == nil:
      // RFC 8489 §14.6: cut to no less than half, in steps of four.
      guard (16...32).contains(value.byteCount), value.byteCount % 4 == 0 else {
        throw .malformedAttribute(.messageIntegritySHA256, .invalid("\(value.byteCount) bytes where 16 to 32 are expected", at: 0))
      }
      integritySHA256 = (offset, value.byteCount)
    case .messageIntegrity where !hasIntegrity:
      guard value.byteCount == 20 else {
        throw .malformedAttribute(.messageIntegrity, .invalid("\(value.byteCount) bytes where 20 are expected", at: 0))
      }
      integrityOffset = offset
    case _ where hasIntegrity || type == .messageIntegrity || type == .messageIntegritySHA256: break
    case nil: message.attributes.append(.unknown(type: number, Slice(copying: value)))
    case .some(let known):
      do throws(ParseError) {
        message.attributes.append(try STUNAttribute(known, value, message.transaction))
      } catch {
        throw .malformedAttribute(known, error)
      }
    }
  }

  private mutating func checkFingerprint(_ value: RawSpan, _ bytes: RawSpan, at offset: Int) throws(STUNError) {
    var reader = ByteReader(value)
    guard let found = try? reader.u32(), reader.isAtEnd else {
      throw .malformedAttribute(.fingerprint, .invalid("\(value.byteCount) bytes where 4 are expected", at: 0))
    }
    let expected = CRC32.checksum(bytes.extracting(0..<offset)) ^ CRC32.fingerprintMask
    guard found == expected else { throw .wrongFingerprint(expected: expected, found: found) }
    hasFingerprint = true
  }
}

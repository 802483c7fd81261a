internal import MartletPrimitives

/// The beginning of a ClientHello of DTLS (RFC 6347 §4.1, §4.2.2), as far as its cookie: a whole one, or the first fragment.
internal struct DTLSClientHello {
  /// Empty in the first of a client.
  internal let cookie: [UInt8]
  /// Of the record, in 48 bits; the answer has the same, since nothing is remembered that could count (§4.2.1).
  private let sequence: UInt64

  /// `nil` when the datagram does not begin with that.
  internal init?(_ datagram: RawSpan) {
    var reader = ByteReader(datagram)
    do throws(ParseError) {
      guard try reader.u8() == Self.handshakeRecord, try reader.u8() == Self.major else { return nil }
      try reader.skip(1)
      let numbers = try reader.u64()
      guard numbers >> 48 == 0 else { return nil }
      sequence = numbers
      var record = ByteReader(try reader.bytes(Int(try reader.u16())))
      guard try record.u8() == Self.clientHello else { return nil }
      // Length of the whole, number of the message.
      try record.skip(5)
      guard try record.u24() == 0 else { return nil }
      var fragment = ByteReader(try record.bytes(Int(try record.u24())))
      // Version and random.
      try fragment.skip(34)
      try fragment.skip(Int(try fragment.u8()))
      cookie = Array(copying: try fragment.bytes(Int(try fragment.u8())))
    } catch { return nil }
  }

  /// HelloVerifyRequest, which says DTLS 1.0 whatever is spoken later (§4.2.1).
  internal func verifyRequest(cookie: [UInt8]) -> [UInt8] {
    var body = ByteWriter(capacity: 3 + cookie.count)
    body.u16(Self.version10)
    body.u8(UInt8(truncatingIfNeeded: cookie.count))
    body.append(cookie)
    return Self.record(Self.version10, sequence, message: Self.helloVerifyRequest, body.bytes)
  }

  /// The least that is a first ClientHello.
  internal static let withoutCookie: [UInt8] = {
    var body = ByteWriter(capacity: 42)
    body.u16(version12)
    body.zeros(32)
    // Neither session nor cookie, one cipher suite, no compression.
    body.append([0, 0, 0, 2, 0xC0, 0x2B, 1, 0])
    return record(version12, 0, message: clientHello, body.bytes)
  }()

  private static func record(_ version: UInt16, _ sequence: UInt64, message: UInt8, _ body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter(capacity: 25 + body.count)
    writer.u8(handshakeRecord)
    writer.u16(version)
    writer.u64(sequence)
    writer.u16(UInt16(truncatingIfNeeded: 12 + body.count))
    writer.u8(message)
    let count = UInt32(truncatingIfNeeded: body.count)
    writer.u24(count)
    // The first message, whole.
    writer.u16(0)
    writer.u24(0)
    writer.u24(count)
    writer.append(body)
    return writer.bytes
  }

  private static let handshakeRecord: UInt8 = 22
  private static let major: UInt8 = 0xFE
  private static let version10: UInt16 = 0xFEFF
  private static let version12: UInt16 = 0xFEFD
  private static let clientHello: UInt8 = 1
  private static let helloVerifyRequest: UInt8 = 3
}

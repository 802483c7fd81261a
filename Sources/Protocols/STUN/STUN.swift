internal import MartletPrimitives

/// What a socket shared by STUN, DTLS and RTP asks of every datagram before anything is parsed or allocated.
package enum STUN {
  /// RFC 8489 §5.
  package static let magicCookie: UInt32 = 0x2112_A442
  package static let headerBytes = 20

  /// Whether these bytes are one whole STUN message: first byte 0 to 3 (RFC 7983 §7), the magic cookie, and a length that
  /// is a multiple of four and ends where the bytes end. Other protocols do not pass this by accident.
  package static func isMessage(_ bytes: RawSpan) -> Bool {
    guard let first = bytes.byte(at: 0), first < 4, bytes.byteCount >= headerBytes else { return false }
    var reader = ByteReader(bytes)
    guard (try? reader.u16()) != nil, let length = try? reader.u16(), let cookie = try? reader.u32() else { return false }
    return cookie == magicCookie && length % 4 == 0 && Int(length) == bytes.byteCount - headerBytes
  }

  /// Where the value of USERNAME lies, found without parsing the message; `nil` when there is none or it is not STUN.
  package static func username(in bytes: RawSpan) -> Range<Int>? {
    guard isMessage(bytes) else { return nil }
    var reader = ByteReader(bytes)
    do throws(ParseError) {
      try reader.skip(headerBytes)
      while !reader.isAtEnd {
        let type = try reader.u16()
        let length = Int(try reader.u16())
        let start = reader.offset
        try reader.skip(padded(length))
        if type == STUNAttributeType.username.rawValue { return start..<start + length }
      }
    } catch {}
    return nil
  }

  /// The part of USERNAME before the colon: in a connectivity check, the fragment of the agent it is for (RFC 8445 §7.2.2).
  package static func localFragment(in bytes: RawSpan) -> Range<Int>? {
    guard let username = username(in: bytes) else { return nil }
    let colon = username.first { bytes.byte(at: $0) == UInt8(ascii: ":") }
    return colon.map { username.lowerBound..<$0 }
  }

  /// Attributes begin at multiples of four (RFC 8489 §14).
  static func padded(_ length: Int) -> Int { (length + 3) & ~3 }
}

/// The CRC-32 of ITU V.42, which FINGERPRINT uses (RFC 8489 §14.7).
enum CRC32 {
  /// "STUN", so that a protocol inside that uses the same CRC is not taken for it.
  static let fingerprintMask: UInt32 = 0x5354_554E

  static func checksum(_ bytes: RawSpan) -> UInt32 {
    let table = table
    return bytes.withUnsafeBytes { buffer in
      ~buffer.reduce(~0) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
    }
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0) }
  }
}

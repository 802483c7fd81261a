internal import MartletPrimitives

extension STUNMessage {
  /// The message as bytes, with MESSAGE-INTEGRITY when a key is given, and FINGERPRINT unless it is not wanted.
  package func encoded(key: STUNKey? = nil, integrity: STUNIntegrity = .sha1, fingerprint: Bool = true) -> [UInt8] {
    var writer = ByteWriter(capacity: 160)
    writer.u32(UInt32(STUNMessageType.encode(kind, method)) << 16)
    writer.u32(STUN.magicCookie)
    writer.u32(transaction.high)
    writer.u64(transaction.low)
    for attribute in attributes { attribute.write(into: &writer, transaction) }
    if let key { integrity.write(into: &writer, key) }
    if fingerprint {
      writer.setSTUNLength(adding: 8)
      let checksum = CRC32.checksum(writer.bytes.span.bytes) ^ CRC32.fingerprintMask
      writer.u32(UInt32(STUNAttributeType.fingerprint.rawValue) << 16 | 4)
      writer.u32(checksum)
    }
    writer.setSTUNLength(adding: 0)
    return writer.bytes
  }
}

extension ByteWriter {
  /// Writes the length of a message that begins at 0, as if `more` bytes followed: integrity and FINGERPRINT are computed
  /// over a header that already counts them (RFC 8489 §14.5, §14.7).
  mutating func setSTUNLength(adding more: Int) {
    let length = count - STUN.headerBytes + more
    precondition(length <= 0xFFFF, "a STUN message is shorter than 64 KiB")
    let type = UInt32(bytes[0]) << 24 | UInt32(bytes[1]) << 16
    patchU32(type | UInt32(length), at: 0)
  }
}

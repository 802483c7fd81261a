internal import MartletCrypto
internal import MartletPrimitives

/// MESSAGE-INTEGRITY (HMAC-SHA1) or MESSAGE-INTEGRITY-SHA256 (RFC 8489 §14.5, §14.6).
package enum STUNIntegrity: Sendable {
  case sha1, sha256

  private var algorithm: Digest.Algorithm { self == .sha1 ? .sha1 : .sha256 }
  private var type: STUNAttributeType { self == .sha1 ? .messageIntegrity : .messageIntegritySHA256 }

  func write(into writer: inout ByteWriter, _ key: STUNKey) {
    writer.setSTUNLength(adding: 4 + algorithm.byteCount)
    let code = Digest.hmac(algorithm, key: key.bytes, writer.bytes)
    writer.u32(UInt32(type.rawValue) << 16 | UInt32(code.count))
    writer.append(code)
  }

  /// Whether the attribute at `offset`, with a value of `count` bytes, was made with this key.
  func matches(_ bytes: RawSpan, at offset: Int, count: Int, _ key: STUNKey) -> Bool {
    guard offset >= STUN.headerBytes, offset + 4 + count <= bytes.byteCount else { return false }
    var covered = ByteWriter(appendingTo: Array(copying: bytes.extracting(0..<offset)))
    covered.setSTUNLength(adding: 4 + count)
    let code = Digest.hmac(algorithm, key: key.bytes, covered.bytes)
    return Digest.equal(Array(code.prefix(count)), Array(copying: bytes.extracting(offset + 4..<offset + 4 + count)))
  }
}

extension ReceivedSTUNMessage {
  /// The strongest integrity attribute that the message carries.
  package var integrity: STUNIntegrity? { integritySHA256 != nil ? .sha256 : integrityOffset != nil ? .sha1 : nil }

  /// Whether the message was made with this key. `bytes` are those it was parsed from. When both attributes are there the
  /// stronger one decides (RFC 8489 §9.1.3).
  package func isAuthentic(_ bytes: RawSpan, _ key: STUNKey) -> Bool {
    if let integritySHA256 { return STUNIntegrity.sha256.matches(bytes, at: integritySHA256.offset, count: integritySHA256.bytes, key) }
    guard let integrityOffset else { return false }
    return STUNIntegrity.sha1.matches(bytes, at: integrityOffset, count: 20, key)
  }
}

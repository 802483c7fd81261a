internal import MartletPrimitives

/// The checksum of SCTP packets (RFC 9260 appendix A): CRC-32 with Castagnoli's polynomial, eight bytes a step.
package enum CRC32c {
  /// Eight tables of 256: `tables[256 * k + byte]` is the contribution of a byte that is `k` bytes before the last one of a step.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
      tables[byte] = value
    }
    for byte in 256..<8 * 256 { tables[byte] = tables[byte - 256] >> 8 ^ tables[Int(tables[byte - 256] & 255)] }
    return tables
  }()

  package static func checksum(_ bytes: RawSpan) -> UInt32 { ~update(~0, bytes) }

  /// The checksum of an SCTP packet, whose own field counts as zero.
  package static func checksum(ofPacket packet: RawSpan) -> UInt32 {
    guard packet.byteCount >= PacketHeader.byteCount else { return checksum(packet) }
    let field = PacketHeader.checksumOffset
    var value = update(~0, packet.extracting(0..<field))
    value = withUnsafeBytes(of: UInt32(0)) { update(value, $0) }
    return ~update(value, packet.extracting(field + 4..<packet.byteCount))
  }

  private static func update(_ value: UInt32, _ bytes: RawSpan) -> UInt32 { bytes.withUnsafeBytes { update(value, $0) } }

  private static func update(_ initial: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
    tables.withUnsafeBufferPointer { buffer in
      guard let table = buffer.baseAddress else { return initial }
      var value = initial
      var index = 0
      // Every index below is a byte plus a multiple of 256 under 2,048.
      while index &+ 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ UInt64(value)
        var next = table[1792 &+ Int(word & 255)] ^ table[1536 &+ Int(word >> 8 & 255)]
        next ^= table[1280 &+ Int(word >> 16 & 255)] ^ table[1024 &+ Int(word >> 24 & 255)]
        next ^= table[768 &+ Int(word >> 32 & 255)] ^ table[512 &+ Int(word >> 40 & 255)]
        next ^= table[256 &+ Int(word >> 48 & 255)] ^ table[Int(word >> 56)]
        value = next
        index &+= 8
      }
      while index < bytes.count {
        value = value >> 8 ^ table[Int((value ^ UInt32(bytes[index])) & 255)]
        index &+= 1
      }
      return value
    }
  }
}

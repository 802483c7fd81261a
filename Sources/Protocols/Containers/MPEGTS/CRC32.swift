/// The checksum of MPEG-2 sections (ISO/IEC 13818-1 annex A): polynomial 0x04c11db7, not reflected, all ones at the start.
package enum CRC32 {
  package static func mpeg2(_ bytes: some Sequence<UInt8>) -> UInt32 {
    var value: UInt32 = 0xffff_ffff
    for byte in bytes { value = value << 8 ^ table[Int(UInt8(truncatingIfNeeded: value >> 24) ^ byte)] }
    return value
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index) << 24) { value, _ in value & 0x8000_0000 == 0 ? value << 1 : value << 1 ^ 0x04c1_1db7 }
  }
}

/// The 48-bit index of an SRTP packet (RFC 3711 §3.3.1): a roll-over counter of 32 bits and the sequence number.
enum PacketIndex {
  static let maximum: UInt64 = 1 << 48 - 1

  /// The index with `sequenceNumber` nearest to `highest` (RFC 3711 Appendix A); `nil` before the first or behind the last.
  static func guess(_ sequenceNumber: UInt16, near highest: UInt64) -> UInt64? {
    let candidate = highest & ~0xFFFF | UInt64(sequenceNumber)
    if candidate > highest &+ 0x8000 { return candidate >= 0x1_0000 ? candidate - 0x1_0000 : nil }
    if candidate &+ 0x8000 < highest { return candidate + 0x1_0000 <= maximum ? candidate + 0x1_0000 : nil }
    return candidate
  }

  static func rollover(_ index: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: index >> 16) }
}

package import MartletPrimitives

/// The header of an RTP packet (RFC 3550 §5.1) and where its parts lie. Parsing allocates nothing; what has no fixed size is
/// read from the packet through the ranges.
package struct RTPHeader: Equatable, Sendable {
  package static let minimumBytes = 12

  package var hasPadding: Bool
  package var marker: Bool
  /// 7 bits.
  package var payloadType: UInt8
  package var sequenceNumber: UInt16
  package var timestamp: UInt32
  package var ssrc: UInt32
  /// 0 to 15.
  package let csrcCount: Int
  /// "Defined by profile" of §5.3.1; `nil` without a header extension.
  package let extensionProfile: UInt16?
  /// The content of the header extension, without its first word.
  package let extensionRange: Range<Int>
  /// The whole header: where the payload begins.
  package let byteCount: Int

  /// Reads the header alone, so that it also serves for encrypted packets. `payloadRange(in:)` checks the padding.
  package init(parsing packet: RawSpan) throws(ParseError) {
    var reader = ByteReader(packet)
    let first = try reader.u8()
    guard first >> 6 == 2 else { throw .invalid("RTP version \(first >> 6), expected 2", at: 0) }
    let second = try reader.u8()
    hasPadding = first & 0x20 != 0
    marker = second & 0x80 != 0
    payloadType = second & 0x7F
    sequenceNumber = try reader.u16()
    timestamp = try reader.u32()
    ssrc = try reader.u32()
    csrcCount = Int(first & 0x0F)
    try reader.skip(csrcCount * 4)
    if first & 0x10 != 0 {
      extensionProfile = try reader.u16()
      let length = Int(try reader.u16()) * 4
      extensionRange = reader.offset..<reader.offset + length
      try reader.skip(length)
    } else {
      extensionProfile = nil
      extensionRange = reader.offset..<reader.offset
    }
    byteCount = reader.offset
  }

  /// The payload without its padding (§5.1: the last byte counts the padding, itself included).
  package func payloadRange(in packet: RawSpan) throws(ParseError) -> Range<Int> {
    let end = packet.byteCount
    guard hasPadding else { return byteCount..<max(byteCount, end) }
    guard end > byteCount, let padding = packet.byte(at: end - 1) else { throw .truncated(at: byteCount, needed: 1) }
    guard padding > 0, Int(padding) <= end - byteCount else { throw .invalid("a padding of \(padding) bytes", at: end - 1) }
    return byteCount..<end - Int(padding)
  }

  /// The contributing source at `index` below `csrcCount`.
  package func csrc(_ index: Int, in packet: RawSpan) -> UInt32? {
    guard index >= 0, index < csrcCount else { return nil }
    let at = Self.minimumBytes + index * 4
    guard at + 4 <= packet.byteCount else { return nil }
    var reader = ByteReader(packet.extracting(at..<at + 4))
    return try? reader.u32()
  }
}

extension RTPHeader {
  /// Whether a datagram is RTCP where RTP and RTCP share a port (RFC 5761 §4): packet types 192 to 223, which as RTP would be
  /// payload types 64 to 95 with the marker, which nobody negotiates. Both begin with version 2.
  package static func isRTCP(_ datagram: RawSpan) -> Bool {
    guard let type = datagram.byte(at: 1) else { return false }
    return (192...223).contains(type)
  }
}

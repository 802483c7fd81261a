package import MartletPrimitives

/// The content of a FEC packet: the parity of some packets of one source.
package struct RepairPacket: Sendable, Equatable {
  /// The source that is protected.
  package var ssrc: UInt32
  /// The sequence number that the first bit of `mask` stands for.
  package var base: UInt16
  /// Which packets are protected, the first in the highest bit.
  package var mask: UInt64
  package var parity: Parity

  package init(ssrc: UInt32, base: UInt16, mask: UInt64, parity: Parity) {
    (self.ssrc, self.base, self.mask, self.parity) = (ssrc, base, mask, parity)
  }

  /// The sequence numbers that are protected.
  package var numbers: some Sequence<UInt16> {
    (0..<64).lazy.filter { mask & 1 << UInt64(63 - $0) != 0 }.map { base &+ UInt16($0) }
  }
}

/// ULPFEC (RFC 5109), which travels in RED among the packets that it protects.
extension RepairPacket {
  /// - Parameters:
  ///   - payload: the block inside RED.
  ///   - ssrc: of the stream it came in.
  /// - Throws: also for more levels of protection than one, which nobody uses.
  package init(ulpfec payload: RawSpan, ssrc: UInt32) throws(ParseError) {
    var reader = ByteReader(payload)
    let flags = try reader.u16()
    guard flags & 0x8000 == 0 else { throw .invalid("the extension bit of ULPFEC, which has to be 0", at: 0) }
    let base = try reader.u16()
    let timestamp = try reader.u32()
    let length = try reader.u16()
    let protected = Int(try reader.u16())
    // §7.4: 16 bits, or 48 with L.
    var mask = UInt64(try reader.u16()) << 48
    if flags & 0x4000 != 0 { mask |= UInt64(try reader.u32()) << 16 }
    guard mask != 0 else { throw .invalid("a mask of no packets", at: reader.offset - 2) }
    let content = try reader.bytes(protected)
    self.init(ssrc: ssrc, base: base, mask: mask, parity: Parity(flags: flags, timestamp: timestamp, length: length, payload: content))
  }
}

/// FlexFEC in the form that browsers have (draft-ietf-payload-flexible-fec-scheme-03 §4.2), a stream of its own.
extension RepairPacket {
  /// Packets from the first to the last of a mask that `writeFlexFEC` has room for.
  package static let flexFECSpan = 46

  package init(flexFEC payload: RawSpan) throws(ParseError) {
    var reader = ByteReader(payload)
    let flags = try reader.u16()
    guard flags & 0xC000 == 0 else { throw .invalid("a FlexFEC packet of another kind than parity by masks", at: 0) }
    let length = try reader.u16()
    let timestamp = try reader.u32()
    let count = try reader.u8()
    guard count == 1 else { throw .invalid("\(count) protected sources, expected 1", at: 8) }
    try reader.skip(3)
    let ssrc = try reader.u32()
    let base = try reader.u16()
    let mask = try Self.mask(&reader)
    guard mask != 0 else { throw .invalid("a mask of no packets", at: reader.offset - 2) }
    self.init(
      ssrc: ssrc, base: base, mask: mask, parity: Parity(flags: flags, timestamp: timestamp, length: length, payload: reader.rest()))
  }

  /// Each part begins with a bit that says whether it is the last.
  private static func mask(_ reader: inout ByteReader) throws(ParseError) -> UInt64 {
    let first = try reader.u16()
    var mask = UInt64(first & 0x7FFF) << 49
    if first & 0x8000 != 0 { return mask }
    let second = try reader.u32()
    mask |= UInt64(second & 0x7FFF_FFFF) << 18
    if second & 0x8000_0000 != 0 { return mask }
    // The 18 of its 63 bits that have a place here; nobody protects packets so far apart.
    let third = try reader.u64()
    guard third & 0x1FFF_FFFF_FFFF == 0 else { throw .limit("packets that a FlexFEC packet spans", maximum: 64) }
    return mask | (third & 0x7FFF_FFFF_FFFF_FFFF) >> 45
  }

  /// Appends it as the payload of a packet of the repair stream.
  package func writeFlexFEC(into writer: inout ByteWriter) {
    writer.u16(parity.flags)
    writer.u16(parity.length)
    writer.u32(parity.timestamp)
    writer.u32(1 << 24)
    writer.u32(ssrc)
    writer.u16(base)
    let isShort = mask & 0x1_FFFF_FFFF_FFFF == 0
    writer.u16((isShort ? 0x8000 : 0) | UInt16(truncatingIfNeeded: mask >> 49))
    if !isShort { writer.u32(0x8000_0000 | UInt32(truncatingIfNeeded: mask >> 18) & 0x7FFF_FFFF) }
    writer.append(parity.payload.span.bytes)
  }
}

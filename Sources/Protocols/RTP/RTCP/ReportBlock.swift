package import MartletPrimitives

/// How one source is received (RFC 3550 §6.4.1).
package struct ReportBlock: Equatable, Sendable {
  package static let byteCount = 24
  /// The 5-bit count of a report packet.
  package static let maximumPerPacket = 31

  package var ssrc: UInt32
  /// Since the previous report, in 1/256.
  package var fractionLost: UInt8
  /// 24 bits, signed: duplicates count as received.
  package var cumulativeLost: Int32
  /// The number of roll-overs and the highest sequence number received.
  package var extendedHighest: UInt32
  /// Interarrival jitter in timestamp units.
  package var jitter: UInt32
  /// The middle 32 bits of the NTP time of the last sender report; 0 when there was none.
  package var lastSenderReport: UInt32
  /// Since that report arrived, in 1/65,536 s.
  package var delaySinceLastSenderReport: UInt32

  package init(
    ssrc: UInt32, fractionLost: UInt8 = 0, cumulativeLost: Int32 = 0, extendedHighest: UInt32 = 0, jitter: UInt32 = 0,
    lastSenderReport: UInt32 = 0, delaySinceLastSenderReport: UInt32 = 0
  ) {
    self.ssrc = ssrc
    self.fractionLost = fractionLost
    self.cumulativeLost = cumulativeLost
    self.extendedHighest = extendedHighest
    self.jitter = jitter
    self.lastSenderReport = lastSenderReport
    self.delaySinceLastSenderReport = delaySinceLastSenderReport
  }

  @_lifetime(reader: copy reader)
  init(parsing reader: inout ByteReader) throws(ParseError) {
    ssrc = try reader.u32()
    fractionLost = try reader.u8()
    // Shifted up and down again, which extends the sign.
    cumulativeLost = Int32(bitPattern: try reader.u24() << 8) >> 8
    extendedHighest = try reader.u32()
    jitter = try reader.u32()
    lastSenderReport = try reader.u32()
    delaySinceLastSenderReport = try reader.u32()
  }

  func write(into writer: inout ByteWriter) {
    writer.u32(ssrc)
    writer.u8(fractionLost)
    writer.u24(UInt32(bitPattern: max(-0x80_0000, min(0x7F_FFFF, cumulativeLost))) & 0xFF_FFFF)
    writer.u32(extendedHighest)
    writer.u32(jitter)
    writer.u32(lastSenderReport)
    writer.u32(delaySinceLastSenderReport)
  }

  /// The round-trip time that this block, arriving `now`, shows to the sender of the report it refers to (§6.4.1, Figure 2);
  /// `nil` without one, or when the clocks contradict each other.
  package func roundTrip(now: NTPTime) -> TimeSpan? {
    guard lastSenderReport != 0 else { return nil }
    return NTPTime.roundTrip(sent: lastSenderReport, held: delaySinceLastSenderReport, now: now)
  }
}

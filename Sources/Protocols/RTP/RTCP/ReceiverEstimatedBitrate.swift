package import MartletPrimitives

/// REMB (draft-alvestrand-rmcat-remb-03 §2.2): what a receiver thinks the path can carry.
package struct ReceiverEstimatedBitrate: Equatable, Sendable {
  /// "Application layer feedback", told apart by the four characters.
  static let format = 15
  private static let identifier: UInt32 = 0x5245_4D42
  private static let mantissaBits = 18

  package var sender: UInt32
  /// Bits per second for all of `sources` together. 18 significant bits are written.
  package var bitsPerSecond: UInt64
  /// At most 255 are written.
  package var sources: [UInt32]

  package init(sender: UInt32, bitsPerSecond: UInt64, sources: [UInt32]) {
    self.sender = sender
    self.bitsPerSecond = bitsPerSecond
    self.sources = sources
  }

  /// `nil` for another application's feedback.
  init?(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    sender = try reader.u32()
    try reader.skip(4)
    guard reader.remaining >= 4, try reader.u32() == Self.identifier else { return nil }
    let count = Int(try reader.u8())
    let rate = try reader.u24()
    let (exponent, mantissa) = (Int(rate >> 18), UInt64(rate & 0x3_FFFF))
    // 63 is a valid exponent; such a rate is "no limit".
    bitsPerSecond = exponent <= 64 - Self.mantissaBits || mantissa == 0 ? mantissa << UInt64(exponent) : .max
    sources = []
    for _ in 0..<count { sources.append(try reader.u32()) }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startFeedback(sender: sender, media: 0)
    let exponent = max(0, 64 - bitsPerSecond.leadingZeroBitCount - Self.mantissaBits)
    writer.u32(Self.identifier)
    writer.u8(UInt8(clamping: sources.count))
    writer.u24(UInt32(truncatingIfNeeded: exponent << Self.mantissaBits) | UInt32(truncatingIfNeeded: bitsPerSecond >> UInt64(exponent)))
    for source in sources.prefix(255) { writer.u32(source) }
    writer.finishControlPacket(from: start, type: RTCPType.payloadFeedback, count: Self.format)
  }
}

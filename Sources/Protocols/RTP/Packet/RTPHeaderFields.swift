package import MartletPrimitives

/// The fields of a header about to be written; its parts of variable size are given to `write`.
package struct RTPHeaderFields: Equatable, Sendable {
  /// The payload's last byte counts the padding at its end.
  package var hasPadding: Bool
  package var marker: Bool
  /// 7 bits.
  package var payloadType: UInt8
  package var sequenceNumber: UInt16
  package var timestamp: UInt32
  package var ssrc: UInt32
  /// Of the extension that its path is measured by; 0 for none.
  package var stampID: UInt8 = 0

  package init(
    payloadType: UInt8, sequenceNumber: UInt16, timestamp: UInt32, ssrc: UInt32, marker: Bool = false, hasPadding: Bool = false
  ) {
    self.payloadType = payloadType
    self.sequenceNumber = sequenceNumber
    self.timestamp = timestamp
    self.ssrc = ssrc
    self.marker = marker
    self.hasPadding = hasPadding
  }

  package init(_ header: RTPHeader) {
    self.init(
      payloadType: header.payloadType, sequenceNumber: header.sequenceNumber, timestamp: header.timestamp, ssrc: header.ssrc,
      marker: header.marker, hasPadding: header.hasPadding)
  }

  /// Appends the header (RFC 3550 §5.1). `writer` may be kept and emptied between packets, so that nothing is allocated.
  ///
  /// - Parameter csrcs: the first 15 count.
  package func write(csrcs: [UInt32] = [], extensions: ExtensionElements = ExtensionElements(), into writer: inout ByteWriter) {
    let sources = csrcs.prefix(15)
    writer.u8(0x80 | (hasPadding ? 0x20 : 0) | (extensions.isEmpty ? 0 : 0x10) | UInt8(truncatingIfNeeded: sources.count))
    writer.u8((marker ? 0x80 : 0) | payloadType & 0x7F)
    writer.u16(sequenceNumber)
    writer.u32(timestamp)
    writer.u32(ssrc)
    for source in sources { writer.u32(source) }
    if !extensions.isEmpty { extensions.write(into: &writer) }
  }

  /// The same with no extension but the one under `stampID`.
  package func write(_ stamp: PathStamp, into writer: inout ByteWriter) {
    writer.u8(0x90 | (hasPadding ? 0x20 : 0))
    writer.u8((marker ? 0x80 : 0) | payloadType & 0x7F)
    writer.u16(sequenceNumber)
    writer.u32(timestamp)
    writer.u32(ssrc)
    stamp.write(id: stampID, into: &writer)
  }

  /// Bytes of a header without sources, and with no extension but the stamp.
  package var stampedByteCount: Int { stampID == 0 ? 12 : 12 + PathStamp.byteCount }
}

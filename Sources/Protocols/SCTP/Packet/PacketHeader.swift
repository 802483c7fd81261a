package import MartletPrimitives

/// What every SCTP packet begins with (RFC 9260 §3.1).
package struct PacketHeader: Equatable, Sendable {
  package static let byteCount = 12
  static let checksumOffset = 8

  package var source: UInt16
  package var destination: UInt16
  package var tag: UInt32
  /// As it stands in the packet; 0 where RFC 9653 was agreed on.
  package var checksum: UInt32 = 0

  package init(source: UInt16, destination: UInt16, tag: UInt32) {
    self.source = source
    self.destination = destination
    self.tag = tag
  }

  @_lifetime(reader: copy reader)
  package init(parsing reader: inout ByteReader) throws(ParseError) {
    source = try reader.u16()
    destination = try reader.u16()
    tag = try reader.u32()
    // The one little-endian field: the CRC is sent in the order in which a serial line would have made it.
    checksum = try reader.u32le()
  }

  package func write(into writer: inout ByteWriter) {
    writer.u16(source)
    writer.u16(destination)
    writer.u32(tag)
    writer.u32le(checksum)
  }
}

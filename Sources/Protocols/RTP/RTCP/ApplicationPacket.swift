package import MartletPrimitives

/// What an application defined for itself (RFC 3550 §6.7).
package struct ApplicationPacket: Equatable, Sendable {
  /// 5 bits.
  package var subtype: UInt8
  package var ssrc: UInt32
  /// Four characters.
  package var name: UInt32
  /// Whole words; shorter data is filled with zeros when written.
  package var data: Slice

  package init(subtype: UInt8, ssrc: UInt32, name: UInt32, data: Slice) {
    self.subtype = subtype
    self.ssrc = ssrc
    self.name = name
    self.data = data
  }

  init(parsing body: RawSpan, subtype: Int) throws(ParseError) {
    var reader = ByteReader(body)
    self.subtype = UInt8(truncatingIfNeeded: subtype)
    ssrc = try reader.u32()
    name = try reader.u32()
    data = Slice(copying: reader.rest())
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startControlPacket()
    writer.u32(ssrc)
    writer.u32(name)
    writer.append(data)
    writer.finishControlPacket(from: start, type: RTCPType.application, count: Int(subtype))
  }
}

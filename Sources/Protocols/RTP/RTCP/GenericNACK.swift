package import MartletPrimitives

/// Packets that a receiver misses (RFC 4585 §6.2.1).
package struct GenericNACK: Equatable, Sendable {
  static let format = 1

  package var sender: UInt32
  package var media: UInt32
  /// In sending order, so that neighbours share a pair.
  package var lost: [UInt16]

  package init(sender: UInt32, media: UInt32, lost: [UInt16]) {
    self.sender = sender
    self.media = media
    self.lost = lost
  }

  init(parsing body: RawSpan, _ limits: RTCPLimits) throws(ParseError) {
    var reader = ByteReader(body)
    sender = try reader.u32()
    media = try reader.u32()
    lost = []
    while !reader.isAtEnd {
      let (first, following) = (try reader.u16(), try reader.u16())
      guard lost.count + 1 + following.nonzeroBitCount <= limits.nackedPackets else {
        throw .limit("packets in a NACK", maximum: limits.nackedPackets)
      }
      lost.append(first)
      for bit in 0..<16 as Range<UInt16> where following & 1 << bit != 0 { lost.append(first &+ bit &+ 1) }
    }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startFeedback(sender: sender, media: media)
    var index = 0
    while index < lost.count {
      let first = lost[index]
      var following: UInt16 = 0
      index += 1
      while index < lost.count, lost[index] &- first <= 16 {
        if lost[index] != first { following |= 1 << (lost[index] &- first &- 1) }
        index += 1
      }
      writer.u16(first)
      writer.u16(following)
    }
    writer.finishControlPacket(from: start, type: RTCPType.transportFeedback, count: Self.format)
  }
}

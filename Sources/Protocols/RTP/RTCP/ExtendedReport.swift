package import MartletPrimitives

/// Extended reports (RFC 3611), of which two blocks are read: they let one who sends no media measure the round trip.
package struct ExtendedReport: Equatable, Sendable {
  /// A DLRR sub-block (§4.5): how long ago `ssrc` sent its reference time.
  package struct Reply: Equatable, Sendable {
    package var ssrc: UInt32
    /// The middle 32 bits of the reference time.
    package var lastReferenceTime: UInt32
    /// In 1/65,536 s.
    package var delay: UInt32

    package init(ssrc: UInt32, lastReferenceTime: UInt32, delay: UInt32) {
      self.ssrc = ssrc
      self.lastReferenceTime = lastReferenceTime
      self.delay = delay
    }

    package init(ssrc: UInt32, lastReferenceTime: UInt32, held: TimeSpan) {
      self.init(ssrc: ssrc, lastReferenceTime: lastReferenceTime, delay: NTPTime.units(held))
    }

    /// For the one who sent the reference time (§4.5).
    package func roundTrip(now: NTPTime) -> TimeSpan? {
      guard lastReferenceTime != 0 else { return nil }
      return NTPTime.roundTrip(sent: lastReferenceTime, held: delay, now: now)
    }
  }

  package var ssrc: UInt32
  /// Receiver reference time (§4.4).
  package var referenceTime: NTPTime?
  package var replies: [Reply]

  package init(ssrc: UInt32, referenceTime: NTPTime? = nil, replies: [Reply] = []) {
    self.ssrc = ssrc
    self.referenceTime = referenceTime
    self.replies = replies
  }

  private static let referenceTimeBlock: UInt8 = 4
  private static let replyBlock: UInt8 = 5

  init(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    self.init(ssrc: try reader.u32())
    while !reader.isAtEnd {
      let type = try reader.u8()
      try reader.skip(1)
      var block = ByteReader(try reader.bytes(Int(try reader.u16()) * 4))
      switch type {
      case Self.referenceTimeBlock: referenceTime = NTPTime(value: try block.u64())
      case Self.replyBlock:
        while !block.isAtEnd {
          replies.append(Reply(ssrc: try block.u32(), lastReferenceTime: try block.u32(), delay: try block.u32()))
        }
      default: break
      }
    }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startControlPacket()
    writer.u32(ssrc)
    if let referenceTime {
      writer.u32(UInt32(Self.referenceTimeBlock) << 24 | 2)
      writer.u64(referenceTime.value)
    }
    if !replies.isEmpty {
      writer.u32(UInt32(Self.replyBlock) << 24 | UInt32(UInt16(clamping: replies.count * 3)))
      for reply in replies {
        writer.u32(reply.ssrc)
        writer.u32(reply.lastReferenceTime)
        writer.u32(reply.delay)
      }
    }
    writer.finishControlPacket(from: start, type: RTCPType.extendedReport, count: 0)
  }
}

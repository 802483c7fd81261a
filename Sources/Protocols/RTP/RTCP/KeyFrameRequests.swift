package import MartletPrimitives

/// "I cannot decode any more" (RFC 4585 §6.3.1): an encoder answers with a key frame.
package struct PictureLossIndication: Equatable, Sendable {
  static let format = 1

  package var sender: UInt32
  package var media: UInt32

  package init(sender: UInt32, media: UInt32) {
    self.sender = sender
    self.media = media
  }

  init(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    sender = try reader.u32()
    media = try reader.u32()
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startFeedback(sender: sender, media: media)
    writer.finishControlPacket(from: start, type: RTCPType.payloadFeedback, count: Self.format)
  }
}

/// "Send a key frame" (RFC 5104 §4.3.1), without a loss: to a new participant, for instance.
package struct FullIntraRequest: Equatable, Sendable {
  static let format = 4

  package struct Entry: Equatable, Sendable {
    package var ssrc: UInt32
    /// One higher for each new request; the same when a request is repeated.
    package var sequenceNumber: UInt8

    package init(ssrc: UInt32, sequenceNumber: UInt8) {
      self.ssrc = ssrc
      self.sequenceNumber = sequenceNumber
    }
  }

  package var sender: UInt32
  package var entries: [Entry]

  package init(sender: UInt32, entries: [Entry]) {
    self.sender = sender
    self.entries = entries
  }

  init(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    sender = try reader.u32()
    // §4.3.1.2: the media source is in the entries, this field is zero.
    try reader.skip(4)
    entries = []
    while !reader.isAtEnd {
      entries.append(Entry(ssrc: try reader.u32(), sequenceNumber: try reader.u8()))
      try reader.skip(3)
    }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startFeedback(sender: sender, media: 0)
    for entry in entries {
      writer.u32(entry.ssrc)
      writer.u32(UInt32(entry.sequenceNumber) << 24)
    }
    writer.finishControlPacket(from: start, type: RTCPType.payloadFeedback, count: Self.format)
  }
}

package import MartletPrimitives

/// FORWARD TSN and I-FORWARD-TSN (RFC 3758 §3.2, RFC 8260 §2.3): what the receiver shall not wait for.
package struct ForwardTSN: Equatable, Sendable {
  package struct Skipped: Equatable, Sendable {
    package var stream: UInt16
    /// Only I-FORWARD-TSN knows of unordered messages.
    package var isUnordered: Bool
    /// The last message that was given up: a 16-bit sequence number or a 32-bit message identifier.
    package var messageNumber: UInt32

    package init(stream: UInt16, isUnordered: Bool = false, messageNumber: UInt32) {
      self.stream = stream
      self.isUnordered = isUnordered
      self.messageNumber = messageNumber
    }
  }

  package var isInterleaved: Bool
  package var cumulativeTSN: UInt32
  package var skipped: [Skipped]

  package init(isInterleaved: Bool, cumulativeTSN: UInt32, skipped: [Skipped]) {
    self.isInterleaved = isInterleaved
    self.cumulativeTSN = cumulativeTSN
    self.skipped = skipped
  }

  static func entryBytes(isInterleaved: Bool) -> Int { isInterleaved ? 8 : 4 }
  static let headerBytes = 8

  package init(parsing body: RawSpan, isInterleaved: Bool) throws(ParseError) {
    var reader = ByteReader(body)
    self.isInterleaved = isInterleaved
    cumulativeTSN = try reader.u32()
    skipped = []
    skipped.reserveCapacity(reader.remaining / Self.entryBytes(isInterleaved: isInterleaved))
    while !reader.isAtEnd {
      let (stream, second) = (try reader.u16(), try reader.u16())
      guard isInterleaved else {
        skipped.append(Skipped(stream: stream, messageNumber: UInt32(second)))
        continue
      }
      skipped.append(Skipped(stream: stream, isUnordered: second & 1 == 1, messageNumber: try reader.u32()))
    }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.beginBlock()
    writer.u32(cumulativeTSN)
    for entry in skipped {
      writer.u16(entry.stream)
      if isInterleaved {
        writer.u16(entry.isUnordered ? 1 : 0)
        writer.u32(entry.messageNumber)
      } else {
        writer.u16(UInt16(truncatingIfNeeded: entry.messageNumber))
      }
    }
    writer.endChunk(isInterleaved ? ChunkType.interleavedForwardTSN : ChunkType.forwardTSN, at: start)
  }
}

package import MartletPrimitives

/// The head of a DATA or I-DATA chunk (RFC 9260 §3.3.1, RFC 8260 §2.1); the payload follows it.
package struct DataChunk: Equatable, Sendable {
  package struct Flags: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let end = Flags(rawValue: 1)
    package static let begin = Flags(rawValue: 2)
    package static let unordered = Flags(rawValue: 4)
    /// The receiver shall not wait with its SACK.
    package static let immediate = Flags(rawValue: 8)
  }

  package var flags: Flags
  package var isInterleaved: Bool
  package var tsn: UInt32
  package var stream: UInt16
  /// The 16-bit stream sequence number of DATA, the 32-bit message identifier of I-DATA.
  package var messageNumber: UInt32
  /// Of I-DATA; 0 in the first fragment.
  package var fragmentNumber: UInt32
  /// Of I-DATA only the first fragment has it.
  package var protocolID: UInt32

  package init(
    flags: Flags, isInterleaved: Bool, tsn: UInt32, stream: UInt16, messageNumber: UInt32, fragmentNumber: UInt32 = 0, protocolID: UInt32
  ) {
    self.flags = flags
    self.isInterleaved = isInterleaved
    self.tsn = tsn
    self.stream = stream
    self.messageNumber = messageNumber
    self.fragmentNumber = fragmentNumber
    self.protocolID = protocolID
  }

  /// Bytes before the payload, the chunk's own header among them.
  package static func headerBytes(isInterleaved: Bool) -> Int { isInterleaved ? 20 : 16 }

  /// Reads the head; the rest of the reader is the payload.
  @_lifetime(reader: copy reader)
  package init(parsing reader: inout ByteReader, _ header: ChunkHeader) throws(ParseError) {
    flags = Flags(rawValue: header.flags)
    isInterleaved = header.type == ChunkType.interleavedData
    tsn = try reader.u32()
    stream = try reader.u16()
    let short = try reader.u16()
    (messageNumber, fragmentNumber, protocolID) = (UInt32(short), 0, 0)
    if isInterleaved { messageNumber = try reader.u32() }
    let last = try reader.u32()
    if isInterleaved, !flags.contains(.begin) { fragmentNumber = last } else { protocolID = last }
  }

  package func write(into writer: inout ByteWriter, payload: RawSpan) {
    let length = Self.headerBytes(isInterleaved: isInterleaved) + payload.byteCount
    let type = isInterleaved ? ChunkType.interleavedData : ChunkType.data
    writer.u32(UInt32(type) << 24 | UInt32(flags.rawValue) << 16 | UInt32(UInt16(clamping: length)))
    writer.u32(tsn)
    if isInterleaved {
      writer.u32(UInt32(stream) << 16)
      writer.u32(messageNumber)
      writer.u32(flags.contains(.begin) ? protocolID : fragmentNumber)
    } else {
      writer.u32(UInt32(stream) << 16 | messageNumber & 0xFFFF)
      writer.u32(protocolID)
    }
    writer.append(payload)
    writer.zeros(-length & 3)
  }
}

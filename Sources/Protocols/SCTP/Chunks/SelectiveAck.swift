package import MartletPrimitives

/// SACK (RFC 9260 §3.3.4).
package struct SelectiveAck: Equatable, Sendable {
  /// Offsets from the cumulative TSN of the first and the last TSN received in a row.
  package struct GapBlock: Equatable, Sendable {
    package var first: UInt16
    package var last: UInt16

    package init(_ first: UInt16, _ last: UInt16) {
      self.first = first
      self.last = last
    }
  }

  package var cumulativeTSN: UInt32
  package var window: UInt32
  package var gaps: [GapBlock]
  package var duplicates: [UInt32]

  package init(cumulativeTSN: UInt32, window: UInt32, gaps: [GapBlock] = [], duplicates: [UInt32] = []) {
    self.cumulativeTSN = cumulativeTSN
    self.window = window
    self.gaps = gaps
    self.duplicates = duplicates
  }

  /// Bytes before the gap blocks, the chunk's header among them.
  static let headerBytes = 16

  package init(parsing body: RawSpan) throws(ParseError) {
    var reader = ByteReader(body)
    cumulativeTSN = try reader.u32()
    window = try reader.u32()
    let (blocks, repeats) = (Int(try reader.u16()), Int(try reader.u16()))
    guard reader.remaining >= 4 * (blocks + repeats) else { throw .truncated(at: reader.offset, needed: 4 * (blocks + repeats)) }
    gaps = []
    duplicates = []
    gaps.reserveCapacity(blocks)
    for _ in 0..<blocks { gaps.append(GapBlock(try reader.u16(), try reader.u16())) }
    duplicates.reserveCapacity(repeats)
    for _ in 0..<repeats { duplicates.append(try reader.u32()) }
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.beginBlock()
    writer.u32(cumulativeTSN)
    writer.u32(window)
    writer.u16(UInt16(clamping: gaps.count))
    writer.u16(UInt16(clamping: duplicates.count))
    for gap in gaps.prefix(Int(UInt16.max)) {
      writer.u16(gap.first)
      writer.u16(gap.last)
    }
    for tsn in duplicates.prefix(Int(UInt16.max)) { writer.u32(tsn) }
    writer.endChunk(ChunkType.selectiveAck, at: start)
  }
}

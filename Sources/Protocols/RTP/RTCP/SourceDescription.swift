package import MartletPrimitives

/// Who a source belongs to (RFC 3550 §6.5): the canonical name, which is the same for all sources of one endpoint, so that they
/// can be played in step. Other items are not kept.
package struct SourceDescription: Equatable, Sendable {
  package var ssrc: UInt32
  /// At most 255 bytes of UTF-8.
  package var cname: String?

  package init(ssrc: UInt32, cname: String?) {
    self.ssrc = ssrc
    self.cname = cname
  }

  private static let cnameItem: UInt8 = 1

  static func parse(_ body: RawSpan, chunks count: Int) throws(ParseError) -> [SourceDescription] {
    var reader = ByteReader(body)
    var chunks: [SourceDescription] = []
    for _ in 0..<count {
      var chunk = SourceDescription(ssrc: try reader.u32(), cname: nil)
      // A zero ends the items; the next chunk begins at a word.
      while let type = reader.peek(), type != 0 {
        try reader.skip(1)
        let text = try reader.bytes(Int(try reader.u8()))
        if type == cnameItem { chunk.cname = String(validating: text) }
      }
      let padding = min(4 - reader.offset % 4, reader.remaining)
      try reader.skip(padding)
      chunks.append(chunk)
    }
    return chunks
  }

  /// - Parameter chunks: the first 31 count.
  package static func write(_ chunks: [SourceDescription], into writer: inout ByteWriter) {
    let start = writer.startControlPacket()
    for chunk in chunks.prefix(31) {
      writer.u32(chunk.ssrc)
      if let cname = chunk.cname {
        let text = cname.utf8.prefix(255)
        writer.u8(cnameItem)
        writer.u8(UInt8(truncatingIfNeeded: text.count))
        writer.append(Array(text))
      }
      // At least one zero.
      writer.zeros(4 - (writer.count - start) % 4)
    }
    writer.finishControlPacket(from: start, type: RTCPType.sourceDescription, count: min(31, chunks.count))
  }
}

package import MartletPrimitives

/// Sources that end (RFC 3550 §6.6).
package struct Goodbye: Equatable, Sendable {
  /// At most 31 are written.
  package var sources: [UInt32]
  /// At most 255 bytes of UTF-8 are written.
  package var reason: String?

  package init(sources: [UInt32], reason: String? = nil) {
    self.sources = sources
    self.reason = reason
  }

  init(parsing body: RawSpan, sources count: Int) throws(ParseError) {
    var reader = ByteReader(body)
    sources = []
    for _ in 0..<count { sources.append(try reader.u32()) }
    guard !reader.isAtEnd else { return }
    reason = String(validating: try reader.bytes(Int(try reader.u8())))
  }

  package func write(into writer: inout ByteWriter) {
    let start = writer.startControlPacket()
    for source in sources.prefix(31) { writer.u32(source) }
    if let reason {
      let text = reason.utf8.prefix(255)
      writer.u8(UInt8(truncatingIfNeeded: text.count))
      writer.append(Array(text))
    }
    writer.finishControlPacket(from: start, type: RTCPType.goodbye, count: min(31, sources.count))
  }
}

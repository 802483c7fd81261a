package import MartletPrimitives

/// Cuts an FLV byte stream (a file, or the body of an HTTP POST) into tags, in whatever pieces it arrives.
///
/// `receive` then `next` until it answers `nil`: no more is held than one unfinished tag and the last piece.
package struct FLVReader: Sendable {
  package struct Limits: Sendable {
    /// Bytes in one tag body.
    package var tagSize = 8 << 20
    package init() {}
  }

  private enum State { case header, tags }

  private var state = State.header
  private var buffer: [UInt8] = []
  private var consumed = 0
  private let limits: Limits

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// Bytes held for a tag that is not whole yet.
  package var buffered: Int { buffer.count - consumed }

  package mutating func receive(_ bytes: RawSpan) {
    if consumed > 0 {
      buffer.removeSubrange(0..<consumed)
      consumed = 0
    }
    buffer.append(bytes)
  }

  /// The next whole tag, or `nil` until more bytes come. Tags of unknown types are passed over.
  package mutating func next() throws(ParseError) -> FLVTag? {
    if case .header = state, try !readHeader() { return nil }
    while let (tag, length) = try readTag() {
      consumed += length
      if let tag { return tag }
    }
    return nil
  }

  private mutating func readHeader() throws(ParseError) -> Bool {
    for (index, expected) in "FLV".utf8.enumerated() where index < buffer.count {
      guard buffer[index] == expected else { throw .invalid("a signature other than FLV", at: index) }
    }
    guard buffer.count >= 9 else { return false }
    var reader = ByteReader(buffer.span.bytes)
    try reader.skip(5)
    let offset = Int(try reader.u32())
    guard 9...1024 ~= offset else { throw .invalid("an FLV header size", at: 5) }
    // The header is followed by PreviousTagSize0.
    guard buffer.count >= offset + 4 else { return false }
    consumed = offset + 4
    state = .tags
    return true
  }

  /// The tag at the front and its length with the PreviousTagSize, or `nil` while it is not whole.
  private func readTag() throws(ParseError) -> (tag: FLVTag?, length: Int)? {
    guard buffered >= 11 else { return nil }
    var reader = ByteReader(buffer.span.bytes)
    try reader.skip(consumed)
    let type = try reader.u8()
    let size = Int(try reader.u24())
    guard size <= limits.tagSize else { throw .limit("an FLV tag in bytes", maximum: limits.tagSize) }
    guard type & 0xc0 == 0 else { throw .invalid("an FLV tag type", at: consumed) }
    guard type & 0x20 == 0 else { throw .invalid("an encrypted FLV tag", at: consumed) }
    let low = try reader.u24()
    let timestamp = UInt32(try reader.u8()) << 24 | low
    try reader.skip(3)
    guard reader.remaining >= size + 4 else { return nil }
    let body = try reader.bytes(size)
    guard let kind = FLVTag.Kind(rawValue: type) else { return (nil, size + 15) }
    return (FLVTag(kind, timestamp: timestamp, body: Slice(copying: body)), size + 15)
  }
}

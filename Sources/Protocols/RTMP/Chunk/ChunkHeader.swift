internal import MartletPrimitives

/// The one to three bytes that begin every chunk (RTMP 1.0 §5.3.1.1).
struct ChunkBasicHeader {
  let format: UInt8
  let chunkStreamID: UInt32
  let byteCount: Int

  /// `nil` when more bytes are needed.
  init?(_ bytes: RawSpan) {
    guard let first = bytes.byte(at: 0) else { return nil }
    format = first >> 6
    switch first & 0x3F {
    case 0:
      guard let second = bytes.byte(at: 1) else { return nil }
      chunkStreamID = 64 + UInt32(second)
      byteCount = 2
    case 1:
      guard let second = bytes.byte(at: 1), let third = bytes.byte(at: 2) else { return nil }
      chunkStreamID = 64 + UInt32(second) + UInt32(third) << 8
      byteCount = 3
    case let id:
      chunkStreamID = UInt32(id)
      byteCount = 1
    }
  }
}

/// A chunk's whole header, resolved against the previous ones of its chunk stream (§5.3.1.2, §5.3.1.3).
struct ChunkHeader {
  let chunkStreamID: UInt32
  /// The place of its chunk stream in the reader's table, when it is there already.
  let index: Int?
  var byteCount: Int
  var timestamp: UInt32 = 0
  var delta: UInt32 = 0
  var extended: UInt32?
  var length = 0
  var type: MessageType = 0
  var streamID: UInt32 = 0

  /// `nil` when more bytes are needed.
  init?(_ bytes: RawSpan, _ basic: ChunkBasicHeader, index: Int?, stream: IncomingChunkStream?) throws(RTMPError) {
    chunkStreamID = basic.chunkStreamID
    byteCount = basic.byteCount
    self.index = index
    try Self.check(basic, stream)
    if let stream {
      (timestamp, delta, extended) = (stream.timestamp, stream.delta, stream.extended)
      (length, type, streamID) = (stream.length, stream.type, stream.streamID)
    }
    let complete = basic.format == 3 ? readContinuation(bytes, stream) : readMessageHeader(bytes, basic.format)
    guard complete else { return nil }
  }

  /// Types 1 to 3 abbreviate an earlier header, and only type 3 goes on with a message. Some old encoders begin a chunk
  /// stream with type 1; that means message stream 0.
  private static func check(_ basic: ChunkBasicHeader, _ stream: IncomingChunkStream?) throws(RTMPError) {
    if basic.format > 1, stream == nil {
      throw .malformedChunk("a type \(basic.format) header without an earlier one", chunkStreamID: basic.chunkStreamID)
    }
    if basic.format < 3, let stream, stream.isOpen {
      let held = "after \(stream.payload.count) of \(stream.length) bytes"
      throw .malformedChunk("a type \(basic.format) header inside a message, \(held)", chunkStreamID: basic.chunkStreamID)
    }
  }

  private mutating func readMessageHeader(_ bytes: RawSpan, _ format: UInt8) -> Bool {
    let size = format == 0 ? 11 : format == 1 ? 7 : 3
    guard bytes.byteCount >= byteCount + size else { return false }
    var field = Self.u24(bytes, byteCount)
    if format < 2 {
      length = Int(Self.u24(bytes, byteCount + 3))
      type = MessageType(rawValue: bytes.byte(at: byteCount + 6) ?? 0)
    }
    if format == 0 {
      streamID = Self.u32(bytes, byteCount + 7).byteSwapped
    }
    byteCount += size
    extended = nil
    if field == 0xFF_FFFF {
      guard bytes.byteCount >= byteCount + 4 else { return false }
      field = Self.u32(bytes, byteCount)
      extended = field
      byteCount += 4
    }
    timestamp = format == 0 ? field : timestamp &+ field
    // §5.3.1.2.4: a type 3 header after a type 0 one adds that timestamp again. Past the 24 bits that would leap by hours,
    // which nobody means: there the sender meant the same time.
    delta = format == 0 && extended != nil ? 0 : field
    return true
  }

  /// §5.3.1.3: the extended timestamp is repeated on type 3 chunks. Some senders leave it out, some repeat the message's
  /// absolute time instead of the delta: the four bytes count as a timestamp when they equal either, else as payload.
  private mutating func readContinuation(_ bytes: RawSpan, _ stream: IncomingChunkStream?) -> Bool {
    if let stream, !stream.isOpen { timestamp = stream.timestamp &+ delta }
    guard let extended else { return true }
    // With fewer than four bytes to compare, whatever is there must still be able to match.
    let available = min(4, bytes.byteCount - byteCount)
    let mask = available == 0 ? 0 : UInt32.max << UInt32(8 * (4 - available))
    let seen = Self.prefix(bytes, byteCount, available)
    let absolute = timestamp
    guard seen == extended & mask || seen == absolute & mask else { return true }
    if available < 4 { return false }
    byteCount += 4
    return true
  }

  private static func prefix(_ bytes: RawSpan, _ at: Int, _ count: Int) -> UInt32 {
    var value: UInt32 = 0
    for index in 0..<count { value |= UInt32(bytes.byte(at: at + index) ?? 0) << UInt32(24 - 8 * index) }
    return value
  }

  private static func u32(_ bytes: RawSpan, _ at: Int) -> UInt32 { prefix(bytes, at, 4) }

  private static func u24(_ bytes: RawSpan, _ at: Int) -> UInt32 { prefix(bytes, at, 3) >> 8 }
}

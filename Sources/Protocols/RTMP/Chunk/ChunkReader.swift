internal import MartletPrimitives

/// What a peer may ask the chunk layer to hold. Memory is committed as bytes arrive, never from a claimed length.
package struct ChunkLimits: Sendable {
  /// Bytes of one message.
  package var messageBytes = 8 << 20
  /// Chunk streams of one connection.
  package var chunkStreams = 64
  /// Bytes of messages not yet complete, over all chunk streams of the connection.
  package var unfinishedBytes = 16 << 20
  /// The largest chunk size a peer may set (RTMP 1.0 §5.4.1 allows 1 to 16,777,215).
  package var chunkSize = 0xFF_FFFF

  package init() {}
}

/// Puts messages together from chunks (RTMP 1.0 §5.3). Bytes may be cut anywhere; each payload byte is copied once, from
/// the input into the message. Set Chunk Size and Abort change how the very next byte is read, so they take effect here
/// and are not delivered.
package struct ChunkReader: ~Copyable {
  /// What the peer's chunks are cut to.
  package private(set) var chunkSize = 128
  /// Bytes held for messages not yet complete.
  package private(set) var unfinishedBytes = 0

  /// May be raised once the peer is trusted with more; a message that has begun keeps to the old ones.
  package var limits: ChunkLimits
  private var streams: [IncomingChunkStream] = []
  /// The stream of the chunk whose payload is being read.
  private var current = 0
  /// Payload bytes of that chunk still to come.
  private var left = 0
  /// A header of which only a part has arrived: at most 18 bytes.
  private var partialHeader: [UInt8] = []

  package init(limits: ChunkLimits = ChunkLimits()) { self.limits = limits }

  /// Appends the messages that `bytes` complete. After an error the connection cannot be read on.
  package mutating func receive(_ bytes: RawSpan, into messages: inout [RTMPMessage]) throws(RTMPError) {
    var offset = 0
    while offset < bytes.byteCount {
      if left > 0 {
        let count = min(left, bytes.byteCount - offset)
        try append(bytes.extracting(offset..<offset + count))
        offset += count
        if left == 0 { try finishChunk(into: &messages) }
      } else {
        offset += try readHeader(bytes.extracting(offset..<bytes.byteCount), into: &messages)
      }
    }
  }

  /// Answers how many bytes of `bytes` belonged to the header or the beginning of one.
  private mutating func readHeader(_ bytes: RawSpan, into messages: inout [RTMPMessage]) throws(RTMPError) -> Int {
    guard partialHeader.isEmpty else {
      guard let byte = bytes.byte(at: 0) else { return 0 }
      partialHeader.append(byte)
      guard let header = try parse(partialHeader.span.bytes) else { return 1 }
      // One byte at a time, so a header never takes more; but it takes less when its last four bytes turn out to be
      // payload, and those must be read again as such.
      let payload = Array(partialHeader[header.byteCount...])
      partialHeader.removeAll(keepingCapacity: true)
      try begin(header, into: &messages)
      if !payload.isEmpty { try receive(payload.span.bytes, into: &messages) }
      return 1
    }
    guard let header = try parse(bytes) else {
      partialHeader.append(bytes)
      return bytes.byteCount
    }
    try begin(header, into: &messages)
    return header.byteCount
  }

  private func parse(_ bytes: RawSpan) throws(RTMPError) -> ChunkHeader? {
    guard let basic = ChunkBasicHeader(bytes) else { return nil }
    // Mostly the next chunk goes on with the message of the last one.
    let isCurrent = current < streams.count && streams[current].id == basic.chunkStreamID
    let known = isCurrent ? current : streams.firstIndex { $0.id == basic.chunkStreamID }
    return try ChunkHeader(bytes, basic, index: known, stream: known.map { streams[$0] })
  }

  /// Enters a chunk whose header is whole.
  private mutating func begin(_ header: ChunkHeader, into messages: inout [RTMPMessage]) throws(RTMPError) {
    let index: Int
    if let known = header.index {
      index = known
    } else {
      guard streams.count < limits.chunkStreams else {
        throw .limit("chunk streams on one connection", value: streams.count + 1, maximum: limits.chunkStreams)
      }
      index = streams.count
      streams.append(IncomingChunkStream(id: header.chunkStreamID))
    }
    if !streams[index].isOpen {
      guard header.length <= limits.messageBytes else {
        throw .limit("bytes of a \(header.type) message", value: header.length, maximum: limits.messageBytes)
      }
      streams[index].open(header)
    }
    current = index
    left = min(chunkSize, streams[index].length - streams[index].payload.count)
    if left == 0 { try finishChunk(into: &messages) }
  }

  private mutating func append(_ bytes: RawSpan) throws(RTMPError) {
    let total = unfinishedBytes + bytes.byteCount
    guard total <= limits.unfinishedBytes else {
      throw .limit("bytes of unfinished messages", value: total, maximum: limits.unfinishedBytes)
    }
    unfinishedBytes = total
    streams[current].append(bytes)
    left -= bytes.byteCount
  }

  private mutating func finishChunk(into messages: inout [RTMPMessage]) throws(RTMPError) {
    guard streams[current].payload.count == streams[current].length else { return }
    unfinishedBytes -= streams[current].length
    let message = streams[current].close()
    switch message.type {
    case .setChunkSize: try setChunkSize(message)
    case .abort: try abort(message)
    default: messages.append(message)
    }
  }

  /// §5.4.1: the top bit must be zero, and a chunk holds at least one byte.
  private mutating func setChunkSize(_ message: RTMPMessage) throws(RTMPError) {
    let size = Int(try message.u32())
    guard size > 0 else { throw .malformedMessage(.setChunkSize, .invalid("a chunk size of 0", at: 0)) }
    guard size <= limits.chunkSize else { throw .limit("the peer's chunk size", value: size, maximum: limits.chunkSize) }
    chunkSize = size
  }

  /// §5.4.2: what has come of that chunk stream's message is dropped.
  private mutating func abort(_ message: RTMPMessage) throws(RTMPError) {
    let id = try message.u32()
    guard let index = streams.firstIndex(where: { $0.id == id }) else { return }
    unfinishedBytes -= streams[index].payload.count
    streams[index].abandon()
  }
}

extension RTMPMessage {
  /// The first four bytes, as the protocol control messages have them.
  func u32() throws(RTMPError) -> UInt32 {
    var reader = ByteReader(payload.bytes)
    do { return try reader.u32() } catch { throw .malformedMessage(type, error) }
  }
}

package import MartletPrimitives

/// Cuts messages into chunks (RTMP 1.0 §5.3) with the shortest headers that every known reader understands.
package struct ChunkWriter: Sendable {
  /// What our chunks are cut to; 128 until `setChunkSize` has told the peer otherwise.
  package private(set) var chunkSize = 128

  /// The last header of each chunk stream, which the next one may abbreviate. Ours are a handful, so a list will do.
  private var streams: [OutgoingChunkStream] = []

  /// Bytes of the longest message that RTMP can carry (§5.3.1.2: the length has 24 bits).
  package static let longestMessage = 0xFF_FFFF

  package init() {}

  /// Nothing is written of a message above `longestMessage`: its length does not fit the header.
  package mutating func write(_ message: RTMPMessage, into output: inout [UInt8]) {
    guard message.payload.count <= Self.longestMessage else { return }
    var writer = ByteWriter(appendingTo: output)
    // The array must have one owner while it grows.
    output = []
    let format = writeHeader(message, &writer)
    let extended = format == 0 && message.timestamp >= 0xFF_FFFF ? message.timestamp : nil
    let payload = Payload(parts: [message.payload], chunkSize: chunkSize, id: message.chunkStreamID, extended: extended)
    payload.write(&writer)
    output = writer.bytes
  }

  /// Announces a chunk size of 1 to 16,777,215 and cuts everything behind it to that (§5.4.1).
  package mutating func setChunkSize(_ size: Int, into output: inout [UInt8]) {
    let size = min(max(size, 1), 0xFF_FFFF)
    write(ProtocolControl.setChunkSize(size).message, into: &output)
    chunkSize = size
  }

  /// The message as every viewer can read it at any point of its connection: absolute time, nothing abbreviated. It is
  /// made once and the same bytes go to all viewers.
  /// Empty for a message above `longestMessage`.
  /// - Parameter payloadParts: the message's body in pieces, so that a tag header need not be copied before its frame.
  package static func wireImage(
    type: MessageType, chunkStreamID: UInt32, streamID: UInt32, timestamp: UInt32, payloadParts: [Slice], chunkSize: Int
  ) -> Slice {
    let length = payloadParts.reduce(0) { $0 + $1.count }
    guard length <= longestMessage else { return Slice() }
    let chunkSize = max(1, chunkSize)
    let extended = timestamp >= 0xFF_FFFF ? timestamp : nil
    // At most 3 + 4 bytes before each continuation, 18 before the first chunk.
    var writer = ByteWriter(capacity: length + 18 + (length / chunkSize) * (extended == nil ? 3 : 7))
    let head = OutgoingChunkStream(id: chunkStreamID, timestamp: timestamp, length: length, type: type, streamID: streamID)
    head.writeFull(&writer)
    Payload(parts: payloadParts, chunkSize: chunkSize, id: chunkStreamID, extended: extended).write(&writer)
    return writer.slice
  }

  /// Answers the header type it chose.
  private mutating func writeHeader(_ message: RTMPMessage, _ writer: inout ByteWriter) -> UInt8 {
    var next = OutgoingChunkStream(
      id: message.chunkStreamID, timestamp: message.timestamp, length: message.payload.count, type: message.type,
      streamID: message.streamID)
    guard let index = streams.firstIndex(where: { $0.id == next.id }) else {
      next.writeFull(&writer)
      streams.append(next)
      return 0
    }
    let format = next.writeAbbreviated(after: streams[index], &writer)
    streams[index] = next
    return format
  }
}

/// A header as it was sent.
private struct OutgoingChunkStream {
  var id: UInt32
  var timestamp: UInt32
  var length: Int
  var type: MessageType
  var streamID: UInt32
  /// The delta of the last header; `nil` behind a type 0, whose time readers disagree on repeating.
  var delta: UInt32?

  func writeFull(_ writer: inout ByteWriter) {
    writer.basicHeader(format: 0, id)
    writer.u24(min(timestamp, 0xFF_FFFF))
    writer.u24(UInt32(truncatingIfNeeded: length))
    writer.u8(type.rawValue)
    writer.u32le(streamID)
    if timestamp >= 0xFF_FFFF { writer.u32(timestamp) }
  }

  mutating func writeAbbreviated(after last: OutgoingChunkStream, _ writer: inout ByteWriter) -> UInt8 {
    let step = timestamp &- last.timestamp
    // Time that goes back looks like a step of more than 2^31 and has no delta; a step past 24 bits is sent in full too,
    // so that no reader has to interpret an extended delta.
    guard streamID == last.streamID, step < 0xFF_FFFF else {
      writeFull(&writer)
      return 0
    }
    delta = step
    if length != last.length || type != last.type {
      writer.basicHeader(format: 1, id)
      writer.u24(step)
      writer.u24(UInt32(truncatingIfNeeded: length))
      writer.u8(type.rawValue)
      return 1
    }
    if step == last.delta {
      writer.basicHeader(format: 3, id)
      return 3
    }
    writer.basicHeader(format: 2, id)
    writer.u24(step)
    return 2
  }
}

/// A message's body with a type 3 header before each chunk but the first.
private struct Payload {
  let parts: [Slice]
  let chunkSize: Int
  let id: UInt32
  /// Repeated behind each type 3 header when the message's own header had it (§5.3.1.3).
  let extended: UInt32?

  func write(_ writer: inout ByteWriter) {
    var room = chunkSize
    for part in parts {
      var offset = 0
      while offset < part.count {
        if room == 0 {
          writer.basicHeader(format: 3, id)
          if let extended { writer.u32(extended) }
          room = chunkSize
        }
        let count = min(room, part.count - offset)
        writer.append(part.bytes.extracting(offset..<offset + count))
        offset += count
        room -= count
      }
    }
  }
}

extension ByteWriter {
  /// The shortest basic header for a chunk stream id of 2 to 65,599 (§5.3.1.1).
  fileprivate mutating func basicHeader(format: UInt8, _ id: UInt32) {
    switch id {
    case ..<64: u8(format << 6 | UInt8(truncatingIfNeeded: max(id, 2)))
    case ..<320:
      u8(format << 6)
      u8(UInt8(truncatingIfNeeded: id - 64))
    default:
      u8(format << 6 | 1)
      u16le(UInt16(truncatingIfNeeded: min(id, 65_599) - 64))
    }
  }
}

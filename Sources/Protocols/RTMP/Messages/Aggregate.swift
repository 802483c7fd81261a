internal import MartletPrimitives

/// Aggregate messages (RTMP 1.0 §7.1.6), type 22: several FLV tags in one message.
package enum Aggregate {
  /// The messages inside, sharing the aggregate's bytes. Times inside are on a line of their own: the first becomes the
  /// aggregate's own time and the rest keep their distance from it. The message stream is the aggregate's.
  /// - Parameter limit: the most messages that one aggregate may hold.
  package static func split(_ message: RTMPMessage, limit: Int = 4096) throws(RTMPError) -> [RTMPMessage] {
    do { return try tags(of: message, limit: limit) } catch { throw .malformedMessage(.aggregate, error) }
  }

  private static func tags(of message: RTMPMessage, limit: Int) throws(ParseError) -> [RTMPMessage] {
    var reader = ByteReader(message.payload.bytes)
    var messages: [RTMPMessage] = []
    var shift: UInt32?
    while !reader.isAtEnd {
      guard messages.count < limit else { throw .limit("the number of messages in an aggregate", maximum: limit) }
      let at = reader.offset
      let type = MessageType(rawValue: try reader.u8())
      let size = Int(try reader.u24())
      let low = try reader.u24()
      let time = UInt32(try reader.u8()) << 24 | low
      try reader.skip(3)
      guard [.audio, .video, .data, .dataAMF3].contains(type) else { throw .invalid("\(type) inside an aggregate", at: at) }
      let start = reader.offset
      try reader.skip(size)
      let offset = shift ?? (message.timestamp &- time)
      shift = offset
      messages.append(
        RTMPMessage(
          type: type, streamID: message.streamID, timestamp: time &+ offset, chunkStreamID: message.chunkStreamID,
          payload: message.payload.sub(start..<start + size)))
      // The back pointer of the last tag is missing from some encoders' aggregates.
      if !reader.isAtEnd { try reader.skip(4) }
    }
    return messages
  }
}

internal import MartletPrimitives

/// User Control Messages (RTMP 1.0 §6.2, §7.1.7), type 4.
package enum UserControl: Equatable, Sendable {
  case streamBegin(UInt32)
  case streamEOF(UInt32)
  case streamDry(UInt32)
  /// The player's buffer, in milliseconds.
  case setBufferLength(UInt32, milliseconds: UInt32)
  case streamIsRecorded(UInt32)
  /// The sender's time in milliseconds, to be sent back.
  case pingRequest(UInt32)
  case pingResponse(UInt32)
  /// Not in the specification: Flash Media Server tells a player so.
  case bufferEmpty(UInt32)
  case bufferReady(UInt32)
  /// An event without a meaning here, such as SWF verification.
  case other(UInt16)

  package init(_ message: RTMPMessage) throws(RTMPError) {
    var reader = ByteReader(message.payload.bytes)
    do {
      switch try reader.u16() {
      case 0: self = .streamBegin(try reader.u32())
      case 1: self = .streamEOF(try reader.u32())
      case 2: self = .streamDry(try reader.u32())
      case 3:
        let stream = try reader.u32()
        self = .setBufferLength(stream, milliseconds: try reader.u32())
      case 4: self = .streamIsRecorded(try reader.u32())
      case 6: self = .pingRequest(try reader.u32())
      case 7: self = .pingResponse(try reader.u32())
      case 31: self = .bufferEmpty(try reader.u32())
      case 32: self = .bufferReady(try reader.u32())
      case let event: self = .other(event)
      }
    } catch {
      throw .malformedMessage(.userControl, error)
    }
  }

  package var message: RTMPMessage {
    var writer = ByteWriter(capacity: 10)
    let (event, value) = fields
    writer.u16(event)
    if let value { writer.u32(value) }
    if case .setBufferLength(_, let milliseconds) = self { writer.u32(milliseconds) }
    return RTMPMessage(
      type: .userControl, streamID: 0, timestamp: 0, chunkStreamID: ChunkStreamID.control, payload: writer.slice)
  }

  private var fields: (event: UInt16, value: UInt32?) {
    switch self {
    case .streamBegin(let stream): (0, stream)
    case .streamEOF(let stream): (1, stream)
    case .streamDry(let stream): (2, stream)
    case .setBufferLength(let stream, _): (3, stream)
    case .streamIsRecorded(let stream): (4, stream)
    case .pingRequest(let time): (6, time)
    case .pingResponse(let time): (7, time)
    case .bufferEmpty(let stream): (31, stream)
    case .bufferReady(let stream): (32, stream)
    case .other(let event): (event, nil)
    }
  }
}

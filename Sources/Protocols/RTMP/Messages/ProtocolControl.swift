internal import MartletPrimitives

/// The messages that steer the connection itself (RTMP 1.0 §5.4): chunk stream 2, message stream 0.
package enum ProtocolControl: Equatable, Sendable {
  /// 1 to 16,777,215 bytes.
  case setChunkSize(Int)
  case abort(chunkStreamID: UInt32)
  /// Bytes received so far, wrapping at 2^32.
  case acknowledgement(UInt32)
  /// The peer is to acknowledge after that many bytes.
  case windowAcknowledgementSize(UInt32)
  case setPeerBandwidth(UInt32, BandwidthLimit)

  package enum BandwidthLimit: UInt8, Sendable { case hard, soft, dynamic }

  /// `nil` for a message of another type.
  package init?(_ message: RTMPMessage) throws(RTMPError) {
    switch message.type {
    case .setChunkSize: self = .setChunkSize(Int(try message.u32()))
    case .abort: self = .abort(chunkStreamID: try message.u32())
    case .acknowledgement: self = .acknowledgement(try message.u32())
    case .windowAcknowledgementSize: self = .windowAcknowledgementSize(try message.u32())
    case .setPeerBandwidth:
      let size = try message.u32()
      // Some senders leave the limit type out.
      self = .setPeerBandwidth(size, message.payload.bytes.byte(at: 4).flatMap(BandwidthLimit.init) ?? .dynamic)
    default: return nil
    }
  }

  package var message: RTMPMessage {
    var writer = ByteWriter(capacity: 5)
    let type: MessageType
    switch self {
    case .setChunkSize(let size):
      type = .setChunkSize
      writer.u32(UInt32(clamping: size))
    case .abort(let id):
      type = .abort
      writer.u32(id)
    case .acknowledgement(let count):
      type = .acknowledgement
      writer.u32(count)
    case .windowAcknowledgementSize(let size):
      type = .windowAcknowledgementSize
      writer.u32(size)
    case .setPeerBandwidth(let size, let limit):
      type = .setPeerBandwidth
      writer.u32(size)
      writer.u8(limit.rawValue)
    }
    return RTMPMessage(type: type, streamID: 0, timestamp: 0, chunkStreamID: ChunkStreamID.control, payload: writer.slice)
  }
}

package import MartletPrimitives

/// The type id of an RTMP message (RTMP 1.0 §5.4, §6.2, §7.1). Ids we do not know pass through the chunk layer too.
package struct MessageType: RawRepresentable, Hashable, Sendable, ExpressibleByIntegerLiteral {
  package var rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }
  package init(integerLiteral value: UInt8) { rawValue = value }

  package static let setChunkSize: MessageType = 1
  package static let abort: MessageType = 2
  package static let acknowledgement: MessageType = 3
  package static let userControl: MessageType = 4
  package static let windowAcknowledgementSize: MessageType = 5
  package static let setPeerBandwidth: MessageType = 6
  package static let audio: MessageType = 8
  package static let video: MessageType = 9
  package static let dataAMF3: MessageType = 15
  package static let sharedObjectAMF3: MessageType = 16
  package static let commandAMF3: MessageType = 17
  package static let data: MessageType = 18
  package static let sharedObject: MessageType = 19
  package static let command: MessageType = 20
  package static let aggregate: MessageType = 22
}

extension MessageType: CustomStringConvertible {
  package var description: String {
    switch self {
    case .setChunkSize: "Set Chunk Size"
    case .abort: "Abort"
    case .acknowledgement: "Acknowledgement"
    case .userControl: "User Control"
    case .windowAcknowledgementSize: "Window Acknowledgement Size"
    case .setPeerBandwidth: "Set Peer Bandwidth"
    case .audio: "audio"
    case .video: "video"
    case .data, .dataAMF3: "data"
    case .command, .commandAMF3: "command"
    case .aggregate: "aggregate"
    default: "type \(rawValue)"
    }
  }
}

/// One whole message, out of as many chunks as it came in.
package struct RTMPMessage: Equatable, Sendable {
  package var type: MessageType
  /// The message stream it belongs to; 0 is the connection itself.
  package var streamID: UInt32
  /// Milliseconds, absolute, wrapping at 2^32.
  package var timestamp: UInt32
  /// The chunk stream that carried it, 2 to 65,599.
  package var chunkStreamID: UInt32
  package var payload: Slice

  package init(type: MessageType, streamID: UInt32, timestamp: UInt32, chunkStreamID: UInt32, payload: Slice) {
    self.type = type
    self.streamID = streamID
    self.timestamp = timestamp
    self.chunkStreamID = chunkStreamID
    self.payload = payload
  }
}

/// The chunk streams Martlet writes on. Media of different kinds stay apart so that their header deltas stay small.
package enum ChunkStreamID {
  /// Protocol and user control (§5.4 demands 2).
  package static let control: UInt32 = 2
  package static let command: UInt32 = 3
  package static let audio: UInt32 = 4
  package static let data: UInt32 = 5
  package static let video: UInt32 = 6
  /// `onStatus` of a message stream.
  package static let status: UInt32 = 7
}

internal import MartletClient
internal import MartletCodecs
internal import MartletContainers
package import MartletMedia
internal import MartletPrimitives
internal import MartletRTMP

/// The stream as RTMP messages in chunks: absolute times, full headers, one outgoing chunk size, so that the same bytes
/// serve every player of the same message stream id.
package enum RTMPFormat {
  /// What all sessions announce with Set Chunk Size.
  package static let chunkSize = 65_536

  package static func format(streamID: UInt32) -> WireFormat {
    WireFormat(name: "rtmp/\(streamID)", .broadcast) { formats in RTMPMuxer(formats, streamID: streamID, publishes: false) }
  }

  /// The same for other servers, which take metadata only behind `@setDataFrame`.
  package static func publishing(streamID: UInt32) -> WireFormat {
    WireFormat(name: "rtmp-publish/\(streamID)", .broadcast) { formats in RTMPMuxer(formats, streamID: streamID, publishes: true) }
  }
}

private struct RTMPMuxer: WireMuxer {
  let opening = Slice()
  let configuration: Slice
  private let formats: [TrackFormat]
  private let streamID: UInt32

  init(_ formats: [TrackFormat], streamID: UInt32, publishes: Bool) {
    self.formats = formats
    self.streamID = streamID
    var writer = ByteWriter()
    let prefix = publishes ? [Slice(AMF0.encode(["@setDataFrame"]))] : []
    writer.append(Self.message(.script, 0, prefix + [FLVMetadata.message(formats)], streamID))
    for format in formats {
      guard let body = FLVMuxer.sequenceHeader(format) else { continue }
      writer.append(Self.message(FLVMuxer.tagKind(format), 0, [Slice(body)], streamID))
    }
    configuration = writer.slice
  }

  mutating func mux(_ frame: Frame) -> Slice {
    let format = formats[Int(frame.track)]
    guard FLVMuxer.carries(format.codec) else { return Slice() }
    let (header, payload) = FLVMuxer.body(frame, format)
    return Self.message(FLVMuxer.tagKind(format), FLVMuxer.timestamp(frame, format), [Slice(header), payload], streamID)
  }

  private static func message(_ kind: FLVTag.Kind, _ timestamp: UInt32, _ parts: [Slice], _ streamID: UInt32) -> Slice {
    let (type, chunkStream): (MessageType, UInt32) =
      switch kind {
      case .video: (.video, ChunkStreamID.video)
      case .audio: (.audio, ChunkStreamID.audio)
      case .script: (.data, ChunkStreamID.data)
      }
    return ChunkWriter.wireImage(
      type: type, chunkStreamID: chunkStream, streamID: streamID, timestamp: timestamp, payloadParts: parts, chunkSize: RTMPFormat.chunkSize
    )
  }
}

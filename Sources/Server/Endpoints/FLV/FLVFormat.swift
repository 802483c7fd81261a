internal import MartletClient
internal import MartletCodecs
internal import MartletContainers
internal import MartletHTTP
package import MartletMedia
internal import MartletPrimitives

/// The stream as an FLV file that never ends: for HTTP-FLV as it is, for WS-FLV one tag a binary message.
package enum FLVFormat {
  package static let http = WireFormat(name: "flv", .broadcast) { formats in FLVStreamMuxer(formats, framed: false) }
  package static let webSocket = WireFormat(name: "ws-flv", .broadcast) { formats in FLVStreamMuxer(formats, framed: true) }
}

internal struct FLVStreamMuxer: WireMuxer {
  internal let opening: Slice
  internal let configuration: Slice
  private let formats: [TrackFormat]
  private let framed: Bool

  internal init(_ formats: [TrackFormat], framed: Bool) {
    self.formats = formats
    self.framed = framed
    let header = FLVWriter.fileHeader(
      hasAudio: formats.contains { $0.kind == .audio }, hasVideo: formats.contains { $0.kind == .video })
    opening = Slice(framed ? WebSocketFrame.header(.binary, length: header.count) + header : header)
    var tags = Self.tag(.script, 0, [], FLVMetadata.message(formats), framed)
    for format in formats {
      guard let body = FLVMuxer.sequenceHeader(format) else { continue }
      tags += Self.tag(FLVMuxer.tagKind(format), 0, body, Slice(), framed)
    }
    configuration = Slice(tags)
  }

  internal mutating func mux(_ frame: Frame) -> Slice {
    let format = formats[Int(frame.track)]
    guard FLVMuxer.carries(format.codec) else { return Slice() }
    let (header, payload) = FLVMuxer.body(frame, format)
    return Slice(Self.tag(FLVMuxer.tagKind(format), FLVMuxer.timestamp(frame, format), header, payload, framed))
  }

  private static func tag(_ kind: FLVTag.Kind, _ timestamp: UInt32, _ header: [UInt8], _ payload: Slice, _ framed: Bool) -> [UInt8] {
    let count = header.count + payload.count
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 32)
    // Eleven bytes of tag header before the body, four of PreviousTagSize behind it.
    if framed { bytes += WebSocketFrame.header(.binary, length: count + 15) }
    FLVWriter.appendTagHeader(kind, timestamp: timestamp, bodyCount: count, to: &bytes)
    bytes += header
    payload.withUnsafeBytes { bytes.append(contentsOf: $0) }
    bytes += FLVWriter.tagTrailer(bodyCount: count)
    return bytes
  }
}

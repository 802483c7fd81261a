package import MartletContainers
internal import MartletCodecs
internal import MartletPrimitives

/// Packets as FLV tags, or the RTMP messages of the same bodies, for one publisher.
package struct FLVEncoding: Sendable {
  private var formats: [MediaFrame.Kind: TrackFormat] = [:]
  private var unannounced: Set<MediaFrame.Kind> = []

  package init() {}

  /// Formats are held back until a frame follows, so that the metadata in front names all of them.
  package mutating func append(_ packet: MediaPacket, to tags: inout [FLVTag]) throws(MediaError) {
    switch packet {
    case .format(let format):
      var track = format.track
      guard FLVMuxer.carries(track.codec) else { throw MediaError("FLV and RTMP have no place for \(track.codec): send AAC or Opus") }
      // Frames bring nanoseconds.
      track.timescale = 1_000_000_000
      guard formats[format.kind] != track else { return }
      formats[format.kind] = track
      unannounced.insert(format.kind)
    case .frame(let frame):
      guard let format = formats[frame.kind] else {
        throw MediaError("a frame of \(frame.kind.rawValue) before its format: send .format(…) first")
      }
      let sample = frame.frame(in: format, track: 0)
      let timestamp = FLVMuxer.timestamp(sample, format)
      if !unannounced.isEmpty { announce(timestamp, to: &tags) }
      let (header, payload) = FLVMuxer.body(sample, format)
      tags.append(FLVTag(FLVMuxer.tagKind(format), timestamp: timestamp, body: Self.joined(header, payload)))
    }
  }

  private mutating func announce(_ timestamp: UInt32, to tags: inout [FLVTag]) {
    let all = MediaFrame.Kind.allCases.compactMap { formats[$0] }
    if all.contains(where: { $0.kind != .data }) {
      tags.append(FLVTag(.script, timestamp: timestamp, body: FLVMetadata.message(all)))
    }
    for kind in MediaFrame.Kind.allCases where unannounced.contains(kind) {
      guard let format = formats[kind], let header = FLVMuxer.sequenceHeader(format) else { continue }
      tags.append(FLVTag(FLVMuxer.tagKind(format), timestamp: timestamp, body: Slice(header)))
    }
    unannounced.removeAll()
  }

  private static func joined(_ header: [UInt8], _ payload: Slice) -> Slice {
    if header.isEmpty { return payload }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(header.count + payload.count)
    bytes += header
    bytes.append(payload.bytes)
    return Slice(bytes)
  }
}

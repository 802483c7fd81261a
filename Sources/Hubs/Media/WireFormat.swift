package import MartletCodecs
package import MartletPrimitives

/// One way to put a stream on a wire: RTMP messages, FLV tags, TS packets, fMP4 fragments, with or without WebSocket frames.
/// A stream makes each format once, when its first viewer comes; the muxers belong to the endpoints.
package struct WireFormat: Sendable {
  /// Also the key: two formats of one name share their bytes.
  package let name: String
  package let rendition: Rendition
  /// Throws a sentence for the viewer when the tracks cannot be carried.
  package let makeMuxer: @Sendable (_ formats: [TrackFormat]) throws(WireFormatError) -> any WireMuxer

  package init(
    name: String, _ rendition: Rendition = .original,
    makeMuxer: @escaping @Sendable ([TrackFormat]) throws(WireFormatError) -> any WireMuxer
  ) {
    self.name = name
    self.rendition = rendition
    self.makeMuxer = makeMuxer
  }
}

/// Why a stream cannot be carried in a format: the codec and what could carry it.
package struct WireFormatError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

package protocol WireMuxer {
  /// What a viewer gets once, before anything else (the FLV file header, for example). May be empty.
  var opening: Slice { get }
  /// What a decoder needs before the next frame, for the tracks the muxer was made for: sequence headers, an init segment.
  var configuration: Slice { get }
  /// One frame as bytes for every viewer; empty when the format has no place for it.
  mutating func mux(_ frame: Frame) -> Slice
}

/// A frame in one wire format, with what fan-out must know of it.
package struct WireUnit: Sendable {
  package var bytes: Slice
  package var kind: MediaKind
  /// A viewer can begin here.
  package var isJoinPoint: Bool
  /// Decode time on the stream's time line in milliseconds.
  package var time: Int64

  package init(bytes: Slice, kind: MediaKind, isJoinPoint: Bool, time: Int64) {
    self.bytes = bytes
    self.kind = kind
    self.isJoinPoint = isJoinPoint
    self.time = time
  }
}

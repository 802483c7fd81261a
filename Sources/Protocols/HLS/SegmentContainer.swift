package import MartletCodecs
package import MartletContainers

/// What segments are made of. MPEG-TS describes itself in every segment; a container with an initialization segment would
/// join here, behind the same verbs.
package struct SegmentContainer: Sendable {
  private var muxer: TSMuxer

  /// - Parameter earlier: what the segments before were made of.
  package static func mpegTS(
    formats: [TrackFormat], options: TSMuxer.Options = .init(), after earlier: SegmentContainer? = nil
  ) throws(TSError) -> SegmentContainer {
    SegmentContainer(muxer: try TSMuxer(formats: formats, options: options, after: earlier?.muxer))
  }

  /// Of segment URIs, without the dot.
  package var fileExtension: String { "ts" }

  /// The media type of a segment (RFC 8216 §10).
  package var mediaType: String { "video/mp2t" }

  /// Writes what a segment begins with: PAT and PMT (RFC 8216 §3.2).
  mutating func begin(_ output: inout [UInt8]) { muxer.tables(into: &output) }

  mutating func append(_ frame: Frame, _ output: inout [UInt8]) { muxer.mux(frame, into: &output) }

  /// Writes what was held back.
  mutating func end(_ output: inout [UInt8]) { muxer.flush(into: &output) }
}

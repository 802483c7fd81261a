package import MartletMedia
package import MartletPrimitives

/// What an operator may set for HLS; each field is a key of the `hls` section.
package struct HLSConfiguration: Equatable, Sendable {
  /// The length of a segment; the real one follows key frames.
  package var fragment = TimeSpan.seconds(2)
  /// How much of the past a playlist lists.
  package var window = TimeSpan.seconds(30)
  /// Makes segments of every stream from its start, not only while somebody watches.
  package var always = false
  /// Put in front of segment names, for a CDN; empty leaves them relative.
  package var segmentBaseURL = ""
  /// Streams that one multivariant playlist offers in several qualities.
  package var renditions: [StreamPath: [StreamPath]] = [:]

  package init() {}
}

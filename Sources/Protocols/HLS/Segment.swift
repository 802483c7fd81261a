package import MartletPrimitives

/// A media segment (RFC 8216 §3): what one URI of a playlist answers.
package struct Segment: Sendable {
  package var bytes: Slice
  package var duration: TimeSpan
  /// Presentation time of its first picture or sound on the stream's own time line, in microseconds.
  package var start: Int64
  /// When its first frame was captured, as near as the server knows.
  package var date: WallTime
  /// Its times or formats do not continue those of the segment before (EXT-X-DISCONTINUITY).
  package var isDiscontinuity: Bool
  /// It begins with a key frame.
  package var isIndependent: Bool

  package init(
    bytes: Slice, duration: TimeSpan, start: Int64 = 0, date: WallTime, isDiscontinuity: Bool = false, isIndependent: Bool = true
  ) {
    self.bytes = bytes
    self.duration = duration
    self.start = start
    self.date = date
    self.isDiscontinuity = isDiscontinuity
    self.isIndependent = isIndependent
  }
}

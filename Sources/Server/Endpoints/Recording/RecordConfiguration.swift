package import MartletPrimitives

/// Which streams are written to disk; each field is a key of the `record` section.
package struct RecordConfiguration: Equatable, Sendable {
  /// The folder for recordings; empty records nothing.
  package var path = ""
  /// Begins a new file after this long, at a key frame; zero only when the publisher leaves.
  package var rotate = TimeSpan.zero
  /// The streams that are recorded.
  package var streams: [PathPattern] = [.everything]
  /// Bytes of one stream that wait for the disk; beyond them frames are left out up to the next key frame.
  package var queueBytes = 32 << 20

  package init() {}
}

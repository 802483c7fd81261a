/// What a peer's session description may cost. An offer of a browser with three sections has 200 lines and 8 KiB.
package struct SDPLimits: Sendable {
  /// Bytes of UTF-8, checked before anything is read.
  package var textBytes = 256 * 1024
  package var lines = 4000
  package var mediaSections = 256
  /// In one section, the session's or a medium's.
  package var attributes = 1024
  /// In one `m=` line: there are 128 RTP payload types.
  package var formats = 128
  /// In one section.
  package var candidates = 256

  package init() {}
}

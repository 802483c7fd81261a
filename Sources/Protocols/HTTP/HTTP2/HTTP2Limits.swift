/// What one HTTP/2 peer may make us hold or do.
package struct HTTP2Limits: Sendable {
  /// Streams that a client may have open at once.
  package var concurrentStreams = 128
  /// Bytes of one header list, names, values and 32 for each field (RFC 9113 §10.5.1); beyond, 431.
  package var headerListBytes = 32 * 1024
  /// Fields of one header list; beyond, 431.
  package var fields = 100
  /// Bytes of content that may be under way to us on one stream before it is consumed.
  package var streamWindow = 256 * 1024
  /// The same over all streams of the connection.
  package var connectionWindow = 1024 * 1024
  /// Bytes that wait to be sent on one stream.
  package var outbox = 256 * 1024
  /// Streams that may end in an error, one after another; the guard against rapid resets (CVE-2023-44487) and against
  /// making us reset (CVE-2025-8671).
  package var resetBurst = 200
  package var resetsPerSecond = 20
  /// Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA.
  package var idleFrameBurst = 4000
  package var idleFramesPerSecond = 1000

  package init() {}
}

/// Why a connection cannot go on.
package struct HTTP2Error: Error, Equatable, Sendable, CustomStringConvertible {
  package let reason: String
  package init(_ reason: String) { self.reason = reason }
  package var description: String { reason }
}

/// Error codes of RST_STREAM and GOAWAY (RFC 9113 §7).
package struct HTTP2Code: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let noError = HTTP2Code(rawValue: 0)
  package static let protocolError = HTTP2Code(rawValue: 1)
  package static let internalError = HTTP2Code(rawValue: 2)
  package static let refusedStream = HTTP2Code(rawValue: 7)
  package static let cancel = HTTP2Code(rawValue: 8)
  package static let enhanceYourCalm = HTTP2Code(rawValue: 11)
}

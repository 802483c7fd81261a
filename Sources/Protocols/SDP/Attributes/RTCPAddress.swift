/// `rtcp` (RFC 3605 §2.1): where RTCP goes when it is not multiplexed.
package struct RTCPAddress: Equatable, Sendable {
  package var port: UInt16
  package var connection: SessionDescription.Connection?

  package init(port: UInt16, connection: SessionDescription.Connection?) {
    self.port = port
    self.connection = connection
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    port = try reader.number("a port from 0 to 65535")
    reader.skipSpaces()
    if !reader.isAtEnd { connection = try SessionDescription.Connection(&reader) }
  }
}

extension RTCPAddress: CustomStringConvertible {
  package var description: String { "\(port)" + (connection.map { " \($0)" } ?? "") }
}

/// `sctpmap`, by which data channels were announced until 2016 (draft-ietf-mmusic-sctp-sdp-05); the format of such a section is
/// the SCTP port.
package struct SCTPMap: Equatable, Sendable {
  package var port: UInt16
  package var application: String
  package var streams: UInt16?

  package init(port: UInt16, application: String = "webrtc-datachannel", streams: UInt16? = 1024) {
    self.port = port
    self.application = application
    self.streams = streams
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    port = try reader.number("an SCTP port from 0 to 65535")
    try reader.space(before: "an application")
    application = try reader.token("an application")
    reader.skipSpaces()
    if !reader.isAtEnd { streams = try reader.number("a number of streams") }
  }
}

extension SCTPMap: CustomStringConvertible {
  package var description: String { "\(port) \(application)" + (streams.map { " \($0)" } ?? "") }
}

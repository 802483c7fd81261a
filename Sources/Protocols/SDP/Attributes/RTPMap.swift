/// `rtpmap` (RFC 8866 §6.6): what a payload type stands for.
package struct RTPMap: Equatable, Sendable {
  /// 0 to 127.
  package var payloadType: UInt8
  package var encoding: String
  /// In hertz.
  package var clockRate: UInt32
  /// As written; `nil` when left out, which means one.
  package var channels: UInt8?

  package init(payloadType: UInt8, encoding: String, clockRate: UInt32, channels: UInt8? = nil) {
    self.payloadType = payloadType
    self.encoding = encoding
    self.clockRate = clockRate
    self.channels = channels
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    payloadType = try reader.number("a payload type from 0 to 127", maximum: 127)
    try reader.space(before: "an encoding")
    encoding = try reader.token("an encoding name", until: "/")
    try reader.expect("/", "a slash and a clock rate")
    clockRate = try reader.number("a clock rate in hertz")
    if reader.consume("/") { channels = try reader.number("a number of channels") }
  }
}

extension RTPMap: CustomStringConvertible {
  package var description: String { "\(payloadType) \(encoding)/\(clockRate)" + (channels.map { "/\($0)" } ?? "") }
}

/// `rtcp-fb` (RFC 4585 §4.2): `nack`, `nack pli`, `ccm fir`, `goog-remb`, `transport-cc`.
package struct RTCPFeedback: Equatable, Sendable {
  /// `nil` is `*`: all payload types.
  package var payloadType: UInt8?
  package var kind: Kind

  package struct Kind: Hashable, Sendable {
    package var type: String
    package var parameter: String?

    package init(_ type: String, _ parameter: String? = nil) {
      self.type = type
      self.parameter = parameter
    }

    package static let nack = Kind("nack"), pli = Kind("nack", "pli"), fir = Kind("ccm", "fir")
    package static let remb = Kind("goog-remb"), transportCC = Kind("transport-cc")
  }

  package init(payloadType: UInt8?, _ kind: Kind) {
    self.payloadType = payloadType
    self.kind = kind
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    payloadType = reader.consume("*") ? nil : try reader.number("a payload type or *", maximum: 127)
    try reader.space(before: "a kind of feedback")
    let type = try reader.token("a kind of feedback")
    reader.skipSpaces()
    kind = Kind(type, reader.isAtEnd ? nil : reader.rest())
  }
}

extension RTCPFeedback: CustomStringConvertible {
  package var description: String { (payloadType.map { String($0) } ?? "*") + " \(kind)" }
}

extension RTCPFeedback.Kind: CustomStringConvertible {
  package var description: String { type + (parameter.map { " " + $0 } ?? "") }
}

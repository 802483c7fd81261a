/// How a data channel section names its SCTP port: the form of RFC 8841, or that of 2014, in which the format is the port.
package enum DataChannelForm: Equatable, Sendable {
  case standard, sctpmap
}

extension MediaDescription {
  /// The form of a data channel section; `nil` for another kind of section.
  package var dataChannelForm: DataChannelForm? {
    guard kind == .application, transport.isSCTP else { return nil }
    return formats.first == "webrtc-datachannel" ? .standard : formats.first.flatMap { UInt16($0) } == nil ? nil : .sctpmap
  }

  /// The SCTP port in either form; `nil` when there is none.
  package var sctpPort: UInt16? {
    switch dataChannelForm {
    case .standard: attributes.firstMap { if case .sctpPort(let port) = $0 { port } else { nil } }
    case .sctpmap: formats.first.flatMap { UInt16($0) }
    case nil: nil
    }
  }

  /// Says the SCTP port and the largest message this side takes, in the form that was offered.
  package mutating func setDataChannel(_ form: DataChannelForm, port: UInt16, maxMessageSize: UInt64) {
    switch form {
    case .standard:
      formats = ["webrtc-datachannel"]
      replaceAttributes(named: "sctp-port", with: [.sctpPort(port)])
      self.maxMessageSize = maxMessageSize
    case .sctpmap:
      formats = [String(port)]
      replaceAttributes(named: "sctpmap", with: [.sctpMap(SCTPMap(port: port))])
    }
  }
}

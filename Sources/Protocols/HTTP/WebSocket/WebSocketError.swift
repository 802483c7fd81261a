/// Why a WebSocket is failed (RFC 6455 §7.1.7), with the close code that tells the peer.
package struct WebSocketError: Error, Equatable, Sendable {
  package let code: WebSocketCloseCode
  package let reason: String

  package init(_ code: WebSocketCloseCode, _ reason: String) {
    self.code = code
    self.reason = reason
  }
}

extension WebSocketError: CustomStringConvertible {
  package var description: String { "\(code.rawValue): \(reason)" }
}

/// Close codes (RFC 6455 §7.4 and the IANA registry).
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt16
  package init(rawValue: UInt16) { self.rawValue = rawValue }

  package static let normal = WebSocketCloseCode(rawValue: 1000)
  package static let goingAway = WebSocketCloseCode(rawValue: 1001)
  package static let protocolError = WebSocketCloseCode(rawValue: 1002)
  package static let unsupportedData = WebSocketCloseCode(rawValue: 1003)
  /// Never on the wire: a close frame without a code.
  package static let noStatus = WebSocketCloseCode(rawValue: 1005)
  /// Never on the wire: the connection was lost.
  package static let abnormal = WebSocketCloseCode(rawValue: 1006)
  package static let invalidPayload = WebSocketCloseCode(rawValue: 1007)
  package static let policyViolation = WebSocketCloseCode(rawValue: 1008)
  package static let messageTooBig = WebSocketCloseCode(rawValue: 1009)
  package static let missingExtension = WebSocketCloseCode(rawValue: 1010)
  package static let internalError = WebSocketCloseCode(rawValue: 1011)
  package static let serviceRestart = WebSocketCloseCode(rawValue: 1012)
  package static let tryAgainLater = WebSocketCloseCode(rawValue: 1013)

  /// §7.4.2: codes that may stand in a close frame.
  package var isAllowedOnWire: Bool {
    switch rawValue {
    case 1000...1003, 1007...1014, 3000...4999: true
    default: false
    }
  }
}

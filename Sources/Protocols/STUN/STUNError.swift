package import MartletPrimitives

/// Why bytes were not taken as a STUN message.
package enum STUNError: Error, Equatable, Sendable {
  /// The first bytes belong to another protocol: no magic cookie, or a first byte above 3.
  case foreignProtocol(firstByte: UInt8)
  /// The header announces another length than the message has; both without the header.
  case wrongLength(announced: Int, actual: Int)
  case truncated(ParseError)
  /// `error` counts from the start of the attribute's value.
  case malformedAttribute(STUNAttributeType, ParseError)
  /// FINGERPRINT is not the last attribute (RFC 8489 §14.7).
  case behindFingerprint(attribute: UInt16)
  case wrongFingerprint(expected: UInt32, found: UInt32)
  /// A length or count that the peer controls is above its limit.
  case limit(_ what: String, value: Int, maximum: Int)
  /// No request in flight has this transaction, or it has been answered.
  case unknownTransaction
  /// The message lacks an integrity attribute, or its key is another one.
  case notAuthentic
  /// A message that has no place here, such as a request to a client.
  case unexpected(STUNClass, STUNMethod)
}

extension STUNError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .foreignProtocol(let byte): "no STUN message: its first byte is \(byte) or the magic cookie 0x2112A442 is missing"
    case .wrongLength(let announced, let actual): "a STUN header that announces \(announced) bytes, but \(actual) follow"
    case .truncated(let error): "malformed STUN message: \(error)"
    case .malformedAttribute(let type, let error): "malformed \(type): \(error)"
    case .behindFingerprint(let attribute): "attribute 0x\(String(attribute, radix: 16)) behind FINGERPRINT, which must be last"
    case .wrongFingerprint(let expected, let found):
      "FINGERPRINT 0x\(String(found, radix: 16)), expected 0x\(String(expected, radix: 16))"
    case .limit(let what, let value, let maximum): "\(what): \(value) exceeds the limit of \(maximum)"
    case .unknownTransaction: "a response to no request in flight"
    case .notAuthentic: "MESSAGE-INTEGRITY is missing or made with another key"
    case .unexpected(let kind, let method): "a \(method) \(kind) has no place here"
    }
  }
}

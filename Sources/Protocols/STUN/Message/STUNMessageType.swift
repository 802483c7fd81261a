/// The two class bits of a message type (RFC 8489 §5).
package enum STUNClass: UInt8, Sendable {
  case request, indication, success, error
}

/// The twelve method bits of a message type.
package struct STUNMethod: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt16

  /// The upper four bits of `rawValue` are ignored.
  package init(rawValue: UInt16) { self.rawValue = rawValue & 0xFFF }

  package static let binding = STUNMethod(rawValue: 1)
  // RFC 8656 §17.
  package static let allocate = STUNMethod(rawValue: 3)
  package static let refresh = STUNMethod(rawValue: 4)
  package static let send = STUNMethod(rawValue: 6)
  package static let data = STUNMethod(rawValue: 7)
  package static let createPermission = STUNMethod(rawValue: 8)
  package static let channelBind = STUNMethod(rawValue: 9)
  // RFC 6062 §6.1.
  package static let connect = STUNMethod(rawValue: 10)
  package static let connectionBind = STUNMethod(rawValue: 11)
  package static let connectionAttempt = STUNMethod(rawValue: 12)
}

extension STUNMethod: CustomStringConvertible {
  package var description: String {
    switch self {
    case .binding: "Binding"
    case .allocate: "Allocate"
    case .refresh: "Refresh"
    case .send: "Send"
    case .data: "Data"
    case .createPermission: "CreatePermission"
    case .channelBind: "ChannelBind"
    case .connect: "Connect"
    case .connectionBind: "ConnectionBind"
    case .connectionAttempt: "ConnectionAttempt"
    default: "method \(rawValue)"
    }
  }
}

/// RFC 8489 §5, figure 3: the class bits lie at 4 and 8, between those of the method.
enum STUNMessageType {
  static func encode(_ kind: STUNClass, _ method: STUNMethod) -> UInt16 {
    let (c, m) = (UInt16(kind.rawValue), method.rawValue)
    return (m & 0xF80) << 2 | (m & 0x70) << 1 | m & 0xF | (c & 2) << 7 | (c & 1) << 4
  }

  static func decode(_ type: UInt16) -> (STUNClass, STUNMethod) {
    let method = type >> 2 & 0xF80 | type >> 1 & 0x70 | type & 0xF
    let kind: STUNClass =
      switch type & 0x110 {
      case 0: .request
      case 0x10: .indication
      case 0x100: .success
      default: .error
      }
    return (kind, STUNMethod(rawValue: method))
  }
}

package import MartletPrimitives

/// A STUN message (RFC 8489 §5) without its integrity and FINGERPRINT, which belong to the bytes.
package struct STUNMessage: Equatable, Sendable {
  package var kind: STUNClass
  package var method: STUNMethod
  package var transaction: TransactionID
  /// In the order of the wire. Of a repeated attribute only the first counts (RFC 8489 §14).
  package var attributes: [STUNAttribute]

  package init(_ kind: STUNClass, _ method: STUNMethod, _ transaction: TransactionID, _ attributes: [STUNAttribute] = []) {
    self.kind = kind
    self.method = method
    self.transaction = transaction
    self.attributes = attributes
  }

  /// Attributes that the sender requires to be understood and that have no name here: a request with one is answered with
  /// 420, any other message is dropped (RFC 8489 §6.3).
  package var unknownRequired: [UInt16] {
    attributes.compactMap { if case .unknown(let type, _) = $0, type < 0x8000 { type } else { nil } }
  }
}

// What users of the codec look for.
extension STUNMessage {
  package var username: String? { first { if case .username(let text) = $0 { text } else { nil } } }
  package var realm: String? { first { if case .realm(let text) = $0 { text } else { nil } } }
  package var nonce: String? { first { if case .nonce(let text) = $0 { text } else { nil } } }
  package var software: String? { first { if case .software(let text) = $0 { text } else { nil } } }
  package var errorCode: STUNErrorCode? { first { if case .errorCode(let error) = $0 { error } else { nil } } }
  package var priority: UInt32? { first { if case .priority(let value) = $0 { value } else { nil } } }
  package var lifetime: UInt32? { first { if case .lifetime(let value) = $0 { value } else { nil } } }
  package var data: Slice? { first { if case .data(let bytes) = $0 { bytes } else { nil } } }
  package var channelNumber: UInt16? { first { if case .channelNumber(let number) = $0 { number } else { nil } } }
  package var xorPeerAddress: SocketAddress? { first { if case .xorPeerAddress(let address) = $0 { address } else { nil } } }
  package var xorRelayedAddress: SocketAddress? { first { if case .xorRelayedAddress(let address) = $0 { address } else { nil } } }
  package var alternateServer: SocketAddress? { first { if case .alternateServer(let address) = $0 { address } else { nil } } }
  package var usesCandidate: Bool { attributes.contains(.useCandidate) }

  package var passwordAlgorithms: [PasswordAlgorithm]? {
    first { if case .passwordAlgorithms(let algorithms) = $0 { algorithms } else { nil } }
  }

  /// Where the sender saw the request come from: XOR-MAPPED-ADDRESS, or what servers of RFC 3489 sent in its place.
  package var mappedAddress: SocketAddress? {
    first { if case .xorMappedAddress(let address) = $0 { address } else { nil } }
      ?? first { if case .mappedAddress(let address) = $0 { address } else { nil } }
  }

  func first<T>(_ value: (STUNAttribute) -> T?) -> T? {
    for attribute in attributes {
      if let found = value(attribute) { return found }
    }
    return nil
  }
}

package import MartletPrimitives

/// One attribute of a message, by its meaning. Integrity and FINGERPRINT are no attributes here: they are checked when a
/// message is read and made when it is written.
package enum STUNAttribute: Equatable, Sendable {
  // RFC 8489.
  case mappedAddress(SocketAddress)
  case xorMappedAddress(SocketAddress)
  case username(String)
  /// SHA-256 of `username:realm`.
  case userhash(Slice)
  case realm(String)
  case nonce(String)
  case passwordAlgorithm(PasswordAlgorithm)
  case passwordAlgorithms([PasswordAlgorithm])
  case errorCode(STUNErrorCode)
  case unknownAttributes([UInt16])
  case software(String)
  case alternateServer(SocketAddress)
  case alternateDomain(String)
  // RFC 8445 §16.1.
  case priority(UInt32)
  case useCandidate
  case iceControlled(tieBreaker: UInt64)
  case iceControlling(tieBreaker: UInt64)
  // RFC 8656 §18, RFC 6062 §6.2.
  case channelNumber(UInt16)
  /// In seconds.
  case lifetime(UInt32)
  case xorPeerAddress(SocketAddress)
  case xorRelayedAddress(SocketAddress)
  case data(Slice)
  case requestedAddressFamily(AddressFamily)
  case additionalAddressFamily(AddressFamily)
  case addressErrorCode(AddressFamily, STUNErrorCode)
  /// Whether the next higher port is to be reserved too.
  case evenPort(reserveNext: Bool)
  /// An IP protocol number: 17 is UDP, 6 is TCP.
  case requestedTransport(UInt8)
  case dontFragment
  case reservationToken(UInt64)
  case icmp(type: UInt8, code: UInt8, data: UInt32)
  case connectionID(UInt32)
  // RFC 5780 §7.
  case changeRequest(ip: Bool, port: Bool)
  /// So many bytes without a meaning.
  case padding(Int)
  case responsePort(UInt16)
  case responseOrigin(SocketAddress)
  case otherAddress(SocketAddress)
  /// One that has no name here; below 0x8000 the sender requires that it is understood.
  case unknown(type: UInt16, Slice)
}

/// RFC 8489 §14.1.
package enum AddressFamily: UInt8, Sendable {
  case v4 = 1, v6 = 2
}

/// The hash that makes a long-term key (RFC 8489 §14.11, §18.5).
package struct PasswordAlgorithm: Equatable, Sendable {
  package var number: UInt16
  package var parameters: Slice

  package init(number: UInt16, parameters: Slice = Slice()) {
    self.number = number
    self.parameters = parameters
  }

  package static let md5 = PasswordAlgorithm(number: 1)
  package static let sha256 = PasswordAlgorithm(number: 2)
}

/// ERROR-CODE (RFC 8489 §14.8, RFC 8656 §19).
package struct STUNErrorCode: Equatable, Sendable {
  /// 300 to 699.
  package var code: Int
  /// For people; may be empty.
  package var reason: String

  package init(_ code: Int, _ reason: String = "") {
    self.code = code
    self.reason = reason
  }

  package static let tryAlternate = 300
  package static let badRequest = 400
  package static let unauthenticated = 401
  package static let forbidden = 403
  package static let unknownAttribute = 420
  package static let allocationMismatch = 437
  package static let staleNonce = 438
  package static let familyNotSupported = 440
  package static let wrongCredentials = 441
  package static let transportNotSupported = 442
  package static let familyMismatch = 443
  /// RFC 6062 §6.3.
  package static let connectionAlreadyExists = 446
  package static let connectionFailed = 447
  package static let quotaReached = 486
  package static let roleConflict = 487
  package static let serverError = 500
  package static let insufficientCapacity = 508
}

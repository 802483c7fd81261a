internal import MartletPrimitives

extension STUNAttribute {
  /// The number in the attribute's header.
  package var type: UInt16 {
    if case .unknown(let type, _) = self { return type }
    return known.rawValue
  }

  /// Header, value and padding.
  func write(into writer: inout ByteWriter, _ transaction: TransactionID) {
    let start = writer.count
    writer.u32(0)
    writeValue(into: &writer, transaction)
    let length = writer.count - start - 4
    precondition(length <= 0xFFFF, "an attribute is shorter than 64 KiB")
    writer.patchU32(UInt32(type) << 16 | UInt32(length), at: start)
    writer.zeros(STUN.padded(length) - length)
  }

  private func writeValue(into writer: inout ByteWriter, _ transaction: TransactionID) {
    switch self {
    case .mappedAddress(let address), .alternateServer(let address), .responseOrigin(let address), .otherAddress(let address):
      writer.address(address)
    case .xorMappedAddress(let address), .xorPeerAddress(let address), .xorRelayedAddress(let address):
      writer.address(address, xor: transaction)
    case .username(let text), .realm(let text), .nonce(let text), .software(let text), .alternateDomain(let text): writer.string(text)
    case .userhash(let bytes), .data(let bytes), .unknown(_, let bytes): writer.append(bytes)
    case .passwordAlgorithm(let algorithm): writer.passwordAlgorithm(algorithm)
    case .passwordAlgorithms(let algorithms): for algorithm in algorithms { writer.passwordAlgorithm(algorithm) }
    case .errorCode(let error):
      writer.u16(0)
      writer.errorCode(error)
    case .addressErrorCode(let family, let error):
      writer.u16(UInt16(family.rawValue) << 8)
      writer.errorCode(error)
    case .unknownAttributes(let types): for type in types { writer.u16(type) }
    case .priority(let value), .lifetime(let value), .connectionID(let value): writer.u32(value)
    case .iceControlled(let value), .iceControlling(let value), .reservationToken(let value): writer.u64(value)
    case .channelNumber(let number):
      writer.u16(number)
      writer.u16(0)
    case .requestedAddressFamily(let family), .additionalAddressFamily(let family): writer.u32(UInt32(family.rawValue) << 24)
    case .evenPort(let reserveNext): writer.u8(reserveNext ? 0x80 : 0)
    case .requestedTransport(let number): writer.u32(UInt32(number) << 24)
    case .icmp(let type, let code, let data):
      writer.u16(0)
      writer.u16(UInt16(type & 0x7F) << 9 | UInt16(code))
      writer.u32(data)
    case .changeRequest(let ip, let port): writer.u32((ip ? 4 : 0) | (port ? 2 : 0))
    case .padding(let count): writer.zeros(count)
    case .responsePort(let port): writer.u16(port)
    case .useCandidate, .dontFragment: break
    }
  }

  private var known: STUNAttributeType {
    switch self {
    case .mappedAddress: .mappedAddress
    case .xorMappedAddress: .xorMappedAddress
    case .username: .username
    case .userhash: .userhash
    case .realm: .realm
    case .nonce: .nonce
    case .passwordAlgorithm: .passwordAlgorithm
    case .passwordAlgorithms: .passwordAlgorithms
    case .errorCode: .errorCode
    case .unknownAttributes: .unknownAttributes
    case .software: .software
    case .alternateServer: .alternateServer
    case .alternateDomain: .alternateDomain
    case .priority: .priority
    case .useCandidate: .useCandidate
    case .iceControlled: .iceControlled
    case .iceControlling: .iceControlling
    case .channelNumber: .channelNumber
    case .lifetime: .lifetime
    case .xorPeerAddress: .xorPeerAddress
    case .xorRelayedAddress: .xorRelayedAddress
    case .data, .unknown: .data
    case .requestedAddressFamily: .requestedAddressFamily
    case .additionalAddressFamily: .additionalAddressFamily
    case .addressErrorCode: .addressErrorCode
    case .evenPort: .evenPort
    case .requestedTransport: .requestedTransport
    case .dontFragment: .dontFragment
    case .reservationToken: .reservationToken
    case .icmp: .icmp
    case .connectionID: .connectionID
    case .changeRequest: .changeRequest
    case .padding: .padding
    case .responsePort: .responsePort
    case .responseOrigin: .responseOrigin
    case .otherAddress: .otherAddress
    }
  }
}

extension ByteWriter {
  mutating func address(_ address: SocketAddress, xor transaction: TransactionID? = nil) {
    let cookie = transaction == nil ? 0 : STUN.magicCookie
    let port = address.port ^ UInt16(truncatingIfNeeded: cookie >> 16)
    switch address.ip {
    case .v4(let value):
      u16(UInt16(AddressFamily.v4.rawValue))
      u16(port)
      u32(value ^ cookie)
    case .v6(let high, let low):
      u16(UInt16(AddressFamily.v6.rawValue))
      u16(port)
      u64(high ^ (UInt64(cookie) << 32 | UInt64(transaction?.high ?? 0)))
      u64(low ^ (transaction?.low ?? 0))
    }
  }

  mutating func errorCode(_ error: STUNErrorCode) {
    u8(UInt8(truncatingIfNeeded: error.code / 100))
    u8(UInt8(truncatingIfNeeded: error.code % 100))
    string(error.reason)
  }

  mutating func passwordAlgorithm(_ algorithm: PasswordAlgorithm) {
    u16(algorithm.number)
    u16(UInt16(clamping: algorithm.parameters.count))
    append(algorithm.parameters)
    zeros(STUN.padded(algorithm.parameters.count) - algorithm.parameters.count)
  }
}

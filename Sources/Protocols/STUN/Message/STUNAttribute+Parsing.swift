internal import MartletPrimitives

extension STUNAttribute {
  /// The value of an attribute that is neither an integrity attribute nor FINGERPRINT.
  init(_ type: STUNAttributeType, _ value: RawSpan, _ transaction: TransactionID) throws(ParseError) {
    var reader = ByteReader(value)
    switch type {
    case .mappedAddress: self = .mappedAddress(try reader.address())
    case .alternateServer: self = .alternateServer(try reader.address())
    case .responseOrigin: self = .responseOrigin(try reader.address())
    case .otherAddress: self = .otherAddress(try reader.address())
    case .xorMappedAddress: self = .xorMappedAddress(try reader.address(xor: transaction))
    case .xorPeerAddress: self = .xorPeerAddress(try reader.address(xor: transaction))
    case .xorRelayedAddress: self = .xorRelayedAddress(try reader.address(xor: transaction))
    case .username: self = .username(try reader.text("USERNAME", STUNLimits.usernameBytes))
    case .realm: self = .realm(try reader.text("REALM", STUNLimits.textBytes))
    case .nonce: self = .nonce(try reader.text("NONCE", STUNLimits.textBytes))
    case .alternateDomain: self = .alternateDomain(try reader.text("ALTERNATE-DOMAIN", 255))
    case .software: self = .software(try reader.reason("SOFTWARE"))
    case .userhash: self = .userhash(Slice(copying: try reader.bytes(32)))
    case .passwordAlgorithm: self = .passwordAlgorithm(try reader.passwordAlgorithm())
    case .passwordAlgorithms: self = .passwordAlgorithms(try reader.passwordAlgorithms())
    case .errorCode: self = .errorCode(try reader.errorCode(skipping: 2))
    case .addressErrorCode:
      let family = try reader.family()
      self = .addressErrorCode(family, try reader.errorCode(skipping: 1))
    case .unknownAttributes: self = .unknownAttributes(try reader.attributeTypes())
    case .priority: self = .priority(try reader.u32())
    case .useCandidate: self = .useCandidate
    case .iceControlled: self = .iceControlled(tieBreaker: try reader.u64())
    case .iceControlling: self = .iceControlling(tieBreaker: try reader.u64())
    case .channelNumber: self = .channelNumber(try reader.u16())
    case .lifetime: self = .lifetime(try reader.u32())
    case .data: self = .data(Slice(copying: reader.rest()))
    case .requestedAddressFamily: self = .requestedAddressFamily(try reader.family())
    case .additionalAddressFamily: self = .additionalAddressFamily(try reader.family())
    case .evenPort: self = .evenPort(reserveNext: try reader.u8() & 0x80 != 0)
    case .requestedTransport: self = .requestedTransport(try reader.u8())
    case .dontFragment: self = .dontFragment
    case .reservationToken: self = .reservationToken(try reader.u64())
    case .icmp: self = try Self.icmp(&reader)
    case .connectionID: self = .connectionID(try reader.u32())
    case .changeRequest:
      let flags = try reader.u32()
      self = .changeRequest(ip: flags & 4 != 0, port: flags & 2 != 0)
    case .padding: self = .padding(value.byteCount)
    case .responsePort: self = .responsePort(try reader.u16())
    case .messageIntegrity, .messageIntegritySHA256, .fingerprint:
      self = .unknown(type: type.rawValue, Slice(copying: value))
    }
  }

  /// RFC 8656 §18.13: two reserved bytes, seven bits of type, nine of code, four bytes of data.
  private static func icmp(_ reader: inout ByteReader) throws(ParseError) -> STUNAttribute {
    try reader.skip(2)
    let field = try reader.u16()
    return .icmp(
      type: UInt8(truncatingIfNeeded: field >> 9), code: UInt8(truncatingIfNeeded: min(field & 0x1FF, 255)), data: try reader.u32())
  }
}

extension ByteReader {
  /// RFC 8489 §14.1 and §14.2: in the XOR form the port is hidden with the upper half of the magic cookie, the address with
  /// the cookie and the transaction, so that no NAT rewrites it.
  @_lifetime(self: copy self)
  mutating func address(xor transaction: TransactionID? = nil) throws(ParseError) -> SocketAddress {
    try skip(1)
    let family = try family(width: 1)
    var port = try u16()
    if transaction != nil { port ^= UInt16(truncatingIfNeeded: STUN.magicCookie >> 16) }
    guard family == .v6 else {
      let address = try u32()
      return SocketAddress(ip: .v4(transaction == nil ? address : address ^ STUN.magicCookie), port: port)
    }
    var (high, low) = (try u64(), try u64())
    if let transaction {
      high ^= UInt64(STUN.magicCookie) << 32 | UInt64(transaction.high)
      low ^= transaction.low
    }
    return SocketAddress(ip: IPAddress(high: high, low: low), port: port)
  }

  /// One byte, and padding up to `width`.
  @_lifetime(self: copy self)
  mutating func family(width: Int = 1) throws(ParseError) -> AddressFamily {
    let at = offset
    guard let family = AddressFamily(rawValue: try u8()) else { throw .invalid("an address family that is neither 1 nor 2", at: at) }
    try skip(width - 1)
    return family
  }

  @_lifetime(self: copy self)
  mutating func text(_ name: String, _ maximum: Int) throws(ParseError) -> String {
    guard remaining <= maximum else { throw .limit("bytes of \(name)", maximum: maximum) }
    return try string(remaining)
  }

  /// Text that only people read: what is not UTF-8 is no reason to refuse the message.
  @_lifetime(self: copy self)
  mutating func reason(_ name: String) throws(ParseError) -> String {
    guard remaining <= STUNLimits.textBytes else { throw .limit("bytes of \(name)", maximum: STUNLimits.textBytes) }
    return String(repairing: rest())
  }

  /// RFC 8489 §14.8: reserved bytes, the hundreds, the rest, a phrase.
  @_lifetime(self: copy self)
  mutating func errorCode(skipping reserved: Int) throws(ParseError) -> STUNErrorCode {
    try skip(reserved)
    let at = offset
    let (hundreds, rest) = (Int(try u8() & 7), Int(try u8()))
    guard (3...6).contains(hundreds), rest < 100 else { throw .invalid("an error code outside 300 to 699", at: at) }
    return STUNErrorCode(hundreds * 100 + rest, try reason("ERROR-CODE"))
  }

  @_lifetime(self: copy self)
  mutating func passwordAlgorithm() throws(ParseError) -> PasswordAlgorithm {
    let number = try u16()
    let length = Int(try u16())
    let parameters = Slice(copying: try bytes(length))
    try skip(min(STUN.padded(length) - length, remaining))
    return PasswordAlgorithm(number: number, parameters: parameters)
  }

  @_lifetime(self: copy self)
  mutating func passwordAlgorithms() throws(ParseError) -> [PasswordAlgorithm] {
    var algorithms: [PasswordAlgorithm] = []
    while !isAtEnd {
      guard algorithms.count < 8 else { throw .limit("password algorithms", maximum: 8) }
      algorithms.append(try passwordAlgorithm())
    }
    return algorithms
  }

  @_lifetime(self: copy self)
  mutating func attributeTypes() throws(ParseError) -> [UInt16] {
    guard remaining <= 128 else { throw .limit("bytes of UNKNOWN-ATTRIBUTES", maximum: 128) }
    var types: [UInt16] = []
    while !isAtEnd { types.append(try u16()) }
    return types
  }
}

extension IPAddress {
  /// From the two halves of 16 bytes; an IPv4-mapped address becomes IPv4, as everywhere.
  init(high: UInt64, low: UInt64) {
    self = high == 0 && low >> 32 == 0xFFFF ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
  }
}

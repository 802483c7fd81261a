internal import MartletPrimitives

/// What an Allocate asks for, as far as it goes together (RFC 8656 §7.2, RFC 6062 §5.1).
struct AllocateRequest {
  let transport: TURNRelayTransport
  /// One, or both.
  let families: [AddressFamily]
  /// `nil` when any port will do; true when the next one is wanted too.
  let evenPort: Bool?
  let reservation: UInt64?

  init(_ message: STUNMessage, flow: TURNFlow, _ configuration: TURNServerConfiguration) throws(TURNRefusal) {
    guard let number = message.requestedTransport else { throw TURNRefusal(STUNErrorCode.badRequest, reason: "no REQUESTED-TRANSPORT") }
    guard let transport = TURNRelayTransport(rawValue: number), transport == .udp || configuration.relaysTCP else {
      throw TURNRefusal(STUNErrorCode.transportNotSupported)
    }
    (self.transport, evenPort, reservation) = (transport, message.evenPort, message.reservationToken)
    let (requested, additional) = (message.requestedAddressFamily, message.additionalAddressFamily)
    let isContradiction =
      reservation != nil && (evenPort != nil || requested != nil || additional != nil) || requested != nil && additional != nil
      || additional == .v4 || evenPort == true && additional != nil
    guard !isContradiction else { throw TURNRefusal(STUNErrorCode.badRequest, reason: "attributes that exclude one another") }
    if transport == .tcp {
      guard flow.isStream, evenPort == nil, reservation == nil, !message.attributes.contains(.dontFragment) else {
        throw TURNRefusal(STUNErrorCode.badRequest, reason: "TCP allocations are made over TCP, with any port")
      }
    }
    families = additional == nil ? [requested ?? .v4] : [.v4, .v6]
  }
}

// What requests of TURN carry.
extension STUNMessage {
  var requestedTransport: UInt8? { first { if case .requestedTransport(let number) = $0 { number } else { nil } } }
  var evenPort: Bool? { first { if case .evenPort(let reserveNext) = $0 { reserveNext } else { nil } } }
  var reservationToken: UInt64? { first { if case .reservationToken(let token) = $0 { token } else { nil } } }
  var requestedAddressFamily: AddressFamily? { first { if case .requestedAddressFamily(let family) = $0 { family } else { nil } } }
  var additionalAddressFamily: AddressFamily? { first { if case .additionalAddressFamily(let family) = $0 { family } else { nil } } }
  var userhash: Slice? { first { if case .userhash(let hash) = $0 { hash } else { nil } } }
  var passwordAlgorithm: PasswordAlgorithm? { first { if case .passwordAlgorithm(let algorithm) = $0 { algorithm } else { nil } } }
  var connectionID: UInt32? { first { if case .connectionID(let id) = $0 { id } else { nil } } }
  var xorPeerAddresses: [SocketAddress] { attributes.compactMap { if case .xorPeerAddress(let address) = $0 { address } else { nil } } }
}

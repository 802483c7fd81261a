import MartletPrimitives
import MartletSTUN

/// A NAT between a client and a server of RFC 5780, as a function: what the client sends goes through it, the server's answer comes
/// back through it or not.
struct SimulatedNAT {
  var mapping = NATBehavior.Mapping.endpointIndependent
  var filtering = NATBehavior.Filtering.endpointIndependent
  var hairpins = false
  let outside = IPAddress.v4(0xCB00_7109)
  let addresses: DiscoveryAddresses
  /// A server that has no second address.
  var isPlain = false
  /// A server that answers from where it was asked, whatever it was told.
  var ignoresChange = false

  private struct Inside: Hashable {
    let port: UInt16
    let key: SocketAddress?
  }

  private var ports: [Inside: UInt16] = [:]
  private var contacts: [UInt16: Set<SocketAddress>] = [:]

  init(_ addresses: DiscoveryAddresses) { self.addresses = addresses }

  /// What comes back to the socket at `port` of the client, with where it comes from.
  mutating func exchange(_ bytes: [UInt8], from local: SocketAddress, to target: SocketAddress) throws -> (SocketAddress, [UInt8])? {
    let mapped = map(local, target)
    contacts[mapped.port, default: []].insert(target)
    if target.ip == mapped.ip, mapping != .direct || hairpins { return hairpins ? (mapped, bytes) : nil }
    guard addresses.all.contains(target) else { return nil }
    let request = try ReceivedSTUNMessage(parsing: bytes.span.bytes).message
    var answer = STUNMessage(.success, .binding, request.transaction, [.xorMappedAddress(mapped)])
    if isPlain {
      guard request.discoveryAttributes.isEmpty else {
        answer = STUNMessage(.error, .binding, request.transaction, [.errorCode(STUNErrorCode(STUNErrorCode.unknownAttribute))])
        return (target, answer.encoded())
      }
      return (target, answer.encoded())
    }
    let reply = try addresses.reply(to: request, from: mapped, at: target).get()
    answer.attributes += reply.attributes
    let source = ignoresChange ? target : reply.from
    return lets(source, in: mapped.port) ? (source, answer.encoded()) : nil
  }

  private mutating func map(_ local: SocketAddress, _ target: SocketAddress) -> SocketAddress {
    let key: SocketAddress? =
      switch mapping {
      case .direct: nil
      case .endpointIndependent: nil
      case .addressDependent: SocketAddress(ip: target.ip, port: 0)
      case .addressAndPortDependent: target
      }
    if mapping == .direct { return local }
    let inside = Inside(port: local.port, key: key)
    let port = ports[inside] ?? UInt16(20_000 + ports.count)
    ports[inside] = port
    return SocketAddress(ip: outside, port: port)
  }

  private func lets(_ source: SocketAddress, in port: UInt16) -> Bool {
    let known = contacts[port] ?? []
    return switch filtering {
    case .endpointIndependent: true
    case .addressDependent: known.contains { $0.ip == source.ip }
    case .addressAndPortDependent: known.contains(source)
    }
  }
}

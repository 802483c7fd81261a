package import MartletPrimitives

/// The two addresses and two ports of a server for behaviour discovery (RFC 5780 §6): from where it answers what.
package struct DiscoveryAddresses: Equatable, Sendable {
  package let primary: SocketAddress
  package let alternate: SocketAddress

  /// `nil` unless both the addresses, of one family, and the ports differ.
  package init?(primary: SocketAddress, alternate: SocketAddress) {
    guard primary.ip.bytes.count == alternate.ip.bytes.count, primary.ip != alternate.ip, primary.port != alternate.port else { return nil }
    (self.primary, self.alternate) = (primary, alternate)
    all = [primary.ip, alternate.ip].flatMap { ip in [primary.port, alternate.port].map { SocketAddress(ip: ip, port: $0) } }
  }

  /// Where the server listens, `primary` first.
  package let all: [SocketAddress]

  package struct Reply: Equatable, Sendable {
    /// One of `all`.
    package let from: SocketAddress
    package let to: SocketAddress
    package let attributes: [STUNAttribute]
  }

  /// How a Binding over UDP that came to `local`, one of `all`, is answered. Beyond what is asked for, the answer goes nowhere but to
  /// the address that asked, and pads no more than the request did: the standard would have it fill the path's MTU, which makes a
  /// forged request of 28 bytes an answer of 1,500.
  package func reply(to request: STUNMessage, from client: SocketAddress, at local: SocketAddress) -> Result<Reply, Refusal> {
    let change = request.changeRequest ?? (ip: false, port: false)
    // RFC 5780 §7.5, §7.6.
    if request.responsePort != nil, request.padding != nil { return .failure(Refusal(reason: "RESPONSE-PORT and PADDING in one request")) }
    if request.responsePort == 0 { return .failure(Refusal(reason: "RESPONSE-PORT is 0")) }
    let other = SocketAddress(
      ip: local.ip == primary.ip ? alternate.ip : primary.ip, port: local.port == primary.port ? alternate.port : primary.port)
    let from = SocketAddress(ip: change.ip ? other.ip : local.ip, port: change.port ? other.port : local.port)
    var attributes: [STUNAttribute] = [.responseOrigin(from), .otherAddress(other)]
    if let padding = request.padding { attributes.append(.padding(padding)) }
    let to = SocketAddress(ip: client.ip, port: request.responsePort ?? client.port)
    return .success(Reply(from: from, to: to, attributes: attributes))
  }

  /// Answered with 400.
  package struct Refusal: Error, Equatable, Sendable { package let reason: String }
}

extension STUNMessage {
  var changeRequest: (ip: Bool, port: Bool)? {
    for attribute in attributes { if case .changeRequest(let ip, let port) = attribute { return (ip, port) } }
    return nil
  }

  var responsePort: UInt16? {
    for attribute in attributes { if case .responsePort(let port) = attribute { return port } }
    return nil
  }

  var padding: Int? {
    for attribute in attributes { if case .padding(let count) = attribute { return count } }
    return nil
  }

  var otherAddress: SocketAddress? {
    for attribute in attributes { if case .otherAddress(let address) = attribute { return address } }
    return nil
  }

  /// What a server without a second address does not know (RFC 5780 §6.1): a request with one of them is answered with 420.
  package var discoveryAttributes: [UInt16] {
    attributes.compactMap { attribute in
      switch attribute {
      case .changeRequest: STUNAttributeType.changeRequest.rawValue
      case .responsePort: STUNAttributeType.responsePort.rawValue
      case .padding: STUNAttributeType.padding.rawValue
      default: nil
      }
    }
  }
}

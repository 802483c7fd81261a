internal import MartletHTTP
internal import MartletPrimitives

/// Who asks when proxies stand between: `X-Forwarded-For` as far as it was written by proxies that are trusted.
internal enum ForwardedAddress {
  /// The nearest address that is no trusted proxy. Each proxy appends the peer it saw, so the list is read from its end;
  /// what stands before the first stranger is that stranger's own claim.
  internal static func client(of request: HTTPRequest, peer: SocketAddress, trusting proxies: [AddressRange]) -> SocketAddress {
    let isTrusted = { (address: IPAddress) in proxies.contains { $0.contains(address) } }
    guard !proxies.isEmpty, isTrusted(peer.ip) else { return peer }
    var client = peer
    for hop in request.fields.list("X-Forwarded-For").suffix(32).reversed() {
      guard let address = IPAddress(hop).map({ SocketAddress(ip: $0, port: 0) }) ?? SocketAddress(hop) else { return client }
      client = address
      if !isTrusted(address.ip) { return client }
    }
    return client
  }

  /// Whether the client's own connection was encrypted, by the word of a trusted proxy.
  internal static func isSecure(_ request: HTTPRequest, peer: SocketAddress, trusting proxies: [AddressRange]) -> Bool {
    proxies.contains { $0.contains(peer.ip) } && request.fields.list("X-Forwarded-Proto").last?.lowercased() == "https"
  }
}

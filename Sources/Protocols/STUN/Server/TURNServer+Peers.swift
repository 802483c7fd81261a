package import MartletPrimitives

// CreatePermission and ChannelBind (RFC 8656 §9, §12).
extension TURNServer {
  mutating func createPermission(_ allocation: TURNAllocation, _ request: TURNRequest, now: Instant) throws(TURNRefusal) {
    let peers = request.message.xorPeerAddresses
    guard !peers.isEmpty else { throw TURNRefusal(STUNErrorCode.badRequest, reason: "no XOR-PEER-ADDRESS") }
    // All or none.
    for peer in peers { try admit(peer.ip, allocation) }
    guard allocation.hasRoom(for: peers.map(\.ip), limit: configuration.limits.permissions, now: now) else {
      throw TURNRefusal(STUNErrorCode.insufficientCapacity, reason: "too many permissions")
    }
    for peer in peers { permit(peer.ip, allocation, now: now) }
    succeed(request, [])
  }

  mutating func bindChannel(_ allocation: TURNAllocation, _ request: TURNRequest, now: Instant) throws(TURNRefusal) {
    guard let number = request.message.channelNumber, let peer = request.message.xorPeerAddress, allocation.transport == .udp,
      configuration.channels.contains(number), peer.port != 0
    else { throw TURNRefusal(STUNErrorCode.badRequest, reason: "no channel that may be bound, or no peer") }
    let isOther = { (channel: TURNAllocation.Channel) in channel.number != number || channel.peer != peer }
    if allocation.channel(number, now: now).map(isOther) == true || allocation.channel(to: peer, now: now).map(isOther) == true {
      throw TURNRefusal(STUNErrorCode.badRequest, reason: "the channel or the peer is bound otherwise")
    }
    try admit(peer, allocation)
    let limits = configuration.limits
    guard allocation.hasRoom(for: [peer.ip], limit: limits.permissions, now: now),
      allocation.bind(number, to: peer, until: now + Self.channelLifetime, limit: limits.channels, now: now)
    else { throw TURNRefusal(STUNErrorCode.insufficientCapacity, reason: "too many channels") }
    permit(peer.ip, allocation, now: now)
    succeed(request, [])
  }

  private mutating func permit(_ ip: IPAddress, _ allocation: TURNAllocation, now: Instant) {
    _ = allocation.permit(ip, until: now + Self.permissionLifetime, limit: configuration.limits.permissions, now: now)
  }

  /// At this port too, which matters at the server's own addresses.
  func admit(_ peer: SocketAddress, _ allocation: TURNAllocation) throws(TURNRefusal) {
    try admit(peer.ip, allocation)
    if case .denied(let reason) = rules.verdict(of: peer) {
      throw TURNRefusal(STUNErrorCode.forbidden, detail: "peer \(peer): \(reason)")
    }
  }

  private func admit(_ peer: IPAddress, _ allocation: TURNAllocation) throws(TURNRefusal) {
    guard allocation.relay(AddressFamily(of: peer)) != nil else { throw TURNRefusal(STUNErrorCode.familyMismatch) }
    if case .denied(let reason) = rules.verdict(of: peer) {
      throw TURNRefusal(STUNErrorCode.forbidden, detail: "peer \(peer): \(reason)")
    }
  }

  private static let permissionLifetime = TimeSpan.seconds(300)
  private static let channelLifetime = TimeSpan.seconds(600)
}

extension AddressFamily {
  package init(of ip: IPAddress) {
    self = if case .v4 = ip { .v4 } else { .v6 }
  }
}

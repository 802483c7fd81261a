package import MartletPrimitives

// The path of packets (RFC 8656 §11, §12): a table is looked up, nothing is allocated.
extension TURNServer {
  mutating func forwardChannelData(_ bytes: RawSpan, from flow: TURNFlow, now: Instant) -> TURNForward? {
    guard let message = ChannelData(bytes, in: configuration.channels), let allocation = allocation(of: flow),
      let channel = allocation.channel(message.channel, now: now),
      let relay = allocation.relay(AddressFamily(of: channel.peer.ip))
    else {
      statistics.malformed += 1
      return nil
    }
    guard allocation.sends(message.data.count, bandwidth: configuration.limits.bandwidth, now: now) else { return nil }
    return TURNForward(relay: relay.id, peer: channel.peer, data: message.data, dontFragment: false)
  }

  mutating func forward(_ send: SendIndication, _ bytes: RawSpan, from flow: TURNFlow, now: Instant) -> TURNForward? {
    guard let allocation = allocation(of: flow), allocation.transport == .udp,
      let relay = allocation.relay(AddressFamily(of: send.peer.ip)),
      relay.address != nil, send.peer.port != 0, allocation.isPermitted(send.peer.ip, now: now),
      // At the server's own addresses some ports alone may be reached.
      rules.verdict(of: send.peer) == .allowed
    else {
      statistics.unpermitted += 1
      return nil
    }
    guard allocation.sends(send.data.count, bandwidth: configuration.limits.bandwidth, now: now) else { return nil }
    return TURNForward(relay: relay.id, peer: send.peer, data: send.data, dontFragment: send.dontFragment)
  }

  /// A peer has sent `count` bytes to a relay.
  package mutating func deliver(_ count: Int, from peer: SocketAddress, at id: TURNRelayID, now: Instant) -> TURNDelivery? {
    guard let allocation = relays[id], case .open = allocation.state, allocation.isPermitted(peer.ip, now: now) else {
      statistics.unpermitted += 1
      return nil
    }
    guard allocation.receives(count, bandwidth: configuration.limits.bandwidth, now: now) else { return nil }
    if let channel = allocation.channel(to: peer, now: now) {
      return TURNDelivery(flow: allocation.flow, framing: .channel(channel.number))
    }
    let transaction = TransactionID(high: UInt32(truncatingIfNeeded: indications.next()), low: indications.next())
    return TURNDelivery(flow: allocation.flow, framing: .indication(from: peer, transaction))
  }

  /// A router, or the peer's host, says that what was sent from a relay does not arrive (RFC 8656 §11.5).
  package mutating func relayDidHearICMP(
    _ id: TURNRelayID, type: UInt8, code: UInt8, data: UInt32, peer: SocketAddress, now: Instant
  ) {
    guard let allocation = relays[id], case .open = allocation.state, allocation.isPermitted(peer.ip, now: now) else { return }
    let transaction = TransactionID(high: UInt32(truncatingIfNeeded: indications.next()), low: indications.next())
    let message = STUNMessage(.indication, .data, transaction, [.xorPeerAddress(peer), .icmp(type: type, code: code, data: data)])
    emit(.transmit(message.encoded(fingerprint: false), to: allocation.flow))
  }
}

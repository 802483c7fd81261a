package import MartletPrimitives

// The path of a packet.
extension TURNClient {
  /// Appends `data` for this peer as the server wants it: ChannelData when a channel is bound, else a Send indication.
  /// `false`, and nothing appended, when the peer is neither bound nor permitted (yet), or the data is too long.
  package mutating func wrap(_ data: RawSpan, to peer: SocketAddress, into output: inout [UInt8]) -> Bool {
    guard state == .allocated else { return false }
    if let channel = channels.first(where: { $0.peer == peer && $0.expiresAt != nil }) {
      return ChannelData.write(data, channel: channel.number, padded: configuration.transport == .stream, into: &output)
    }
    guard isPermitted(peer.ip), data.byteCount <= Self.indicationBytes else { return false }
    let id = TransactionID(random: &random)
    let message = STUNMessage(.indication, .send, id, [.xorPeerAddress(peer), .data(Slice(copying: data))])
    output += message.encoded(fingerprint: false)
    return true
  }

  /// Whose data a ChannelData message brings, and where in `bytes` it lies; `nil` when it is another kind of message or its
  /// channel is not bound.
  package func unwrap(_ bytes: RawSpan) -> (peer: SocketAddress, data: Range<Int>)? {
    guard let message = ChannelData(bytes), let channel = channels.first(where: { $0.number == message.channel }) else { return nil }
    return (channel.peer, message.data)
  }

  func isPermitted(_ ip: IPAddress) -> Bool { permissions.contains { $0.ip == ip && $0.expiresAt != nil } }

  /// What an indication's length field leaves for data.
  private static let indicationBytes = 65_000
}

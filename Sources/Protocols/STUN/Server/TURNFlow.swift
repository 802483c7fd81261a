package import MartletPrimitives

/// The five-tuple that an allocation belongs to (RFC 8656 §3): where the client is, and which of the driver's sockets or connections
/// it came over, which stands for the protocol and the server's address.
package struct TURNFlow: Hashable, Sendable {
  package let remote: SocketAddress
  /// Numbered by the driver; a connection's number is not used again.
  package let path: UInt32
  /// TCP or TLS: ChannelData is padded, and nothing answers with more than was asked.
  package let isStream: Bool

  package init(remote: SocketAddress, path: UInt32, isStream: Bool) {
    self.remote = remote
    self.path = path
    self.isStream = isStream
  }
}

/// Names one relayed address of an allocation, which has one for each family. Never used again for another.
package typealias TURNRelayID = SlabID

/// What carries packets between a relayed address and peers.
package enum TURNRelayTransport: UInt8, Sendable {
  /// IP protocol numbers, as in REQUESTED-TRANSPORT.
  case tcp = 6, udp = 17
}

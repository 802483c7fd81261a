package import MartletPrimitives

/// How a client asks a TURN server for a relayed address.
package struct TURNConfiguration: Sendable {
  /// What carries the messages to the server; only a datagram has to be sent again.
  package enum Transport: Sendable { case datagram, stream }

  package var transport: Transport
  package var username: String
  package var password: String
  /// IPv4 when `nil` (RFC 8656 §7.1). A server that has no addresses of the family gives what it has.
  package var family: AddressFamily?
  /// Asked for; the server decides (§7.2).
  package var lifetime = TimeSpan.seconds(600)
  /// How a request that is not answered is sent again, and when it is given up.
  package var schedule: ClientTransaction.Schedule
  package var limits = Limits()

  package struct Limits: Sendable {
    /// Peers that may send to us at a time, by address.
    package var permissions = 64
    package var channels = 64
    /// How often one request is answered with a new nonce before it counts as failed.
    package var challenges = 3
    /// Events and messages that wait for the driver; when full, data from peers is dropped.
    package var queue = 256

    package init() {}
  }

  package init(transport: Transport, username: String, password: String) {
    self.transport = transport
    self.username = username
    self.password = password
    schedule = transport == .datagram ? .datagram : .stream
  }
}

package enum TURNEvent: Equatable, Sendable {
  /// `relayed` receives for us from now on; `mapped` is where the server sees us.
  case allocated(relayed: SocketAddress, mapped: SocketAddress?)
  /// Peers at this address may send to us.
  case permitted(IPAddress)
  /// From now on data to and from this peer costs four bytes instead of 36.
  case channelBound(SocketAddress)
  /// The server will not relay to this peer.
  case refused(IPAddress, STUNErrorCode)
  case data(Slice, from: SocketAddress)
  /// A router or the peer's host said that our data does not arrive (RFC 8656 §11.5).
  case icmp(type: UInt8, code: UInt8, peer: SocketAddress)
  /// The allocation is gone, or never was; nothing comes after this.
  case ended(TURNEnd)
}

package enum TURNEnd: Equatable, Sendable {
  /// `close` was called.
  case closed
  case noAnswer
  /// The server refused the allocation or its refresh: 401 is a wrong name or password, 486 a quota, 508 no capacity.
  case refused(STUNErrorCode)
  /// The server names another one, which has the same credentials.
  case tryAlternate(SocketAddress)
  /// A success response without the relayed address, or a challenge without realm and nonce.
  case malformedAnswer
}

package import MartletPrimitives

/// What an operator may set for TURN; each field is a key of the `turn` section.
package struct TURNConfiguration: Equatable, Sendable {
  package struct User: Equatable, Sendable {
    package var name: String
    package var password: Secret

    package init(name: String, password: Secret) {
      self.name = name
      self.password = password
    }
  }

  package struct Limits: Equatable, Sendable {
    /// Relayed addresses on all workers; a client with both families has two.
    package var total = 10_000
    package var perUser = 500
    /// Of one client address, one /64 of IPv6. Loopback is exempt.
    package var perAddress = 250
    /// Bits a second of one allocation, in each direction; 0 is no limit.
    package var bitrate = 25_000_000
    /// Bits a second of one user's allocations together, in each direction; 0 is no limit.
    package var userBitrate = 250_000_000
    package var permissions = 64
    package var channels = 64
    /// Refusals to one address a second, before it has shown that it knows a password.
    package var refusals = 50

    package init() {}
  }

  package var realm = "martlet"
  package var users: [User] = []
  /// Of ephemeral credentials, the newest first.
  package var secrets: [Secret] = []
  package var ports: ClosedRange<UInt16> = 49_152...65_535
  /// Where relays are bound: of each family the first. Without one, where the server listens, or the first of this machine.
  package var addresses: [IPAddress] = []
  /// What clients are told in place of those, behind a NAT that passes the ports on.
  package var externalAddresses: [IPAddress] = []
  package var allowedPeers: [AddressRange] = []
  package var deniedPeers: [AddressRange] = []
  /// A second address and port, for behaviour discovery (RFC 5780); both differ from those of the listener.
  package var alternate: SocketAddress?
  /// STUN over the connections of the HTTP listeners too.
  package var sharesHTTP = true
  /// How long credentials are good that `/api/v1/turn` makes.
  package var credentialLifetime = TimeSpan.seconds(3600)
  /// What clients of `/api/v1/turn` are told instead of the listeners' addresses.
  package var urls: [String] = []
  package var lifetime = TimeSpan.seconds(600)
  package var longestLifetime = TimeSpan.seconds(3600)
  /// TCP relays (RFC 6062) too.
  package var relaysTCP = true
  /// Takes the channel numbers of RFC 5766, up to 0x7FFF.
  package var takesFormerChannels = false
  /// Answers STUN clients of RFC 3489, which send no magic cookie.
  package var answersClassic = false
  package var limits = Limits()

  package init() {}

  /// Until somebody may allocate, STUN alone is answered.
  package var isRelaying: Bool { !users.isEmpty || !secrets.isEmpty }
}

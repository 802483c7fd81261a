internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN

/// Where relays are bound, what clients are told of it, and which addresses are the server's own.
internal struct TURNAddressPlan {
  internal private(set) var relays: [AddressFamily: (local: IPAddress, announced: IPAddress)] = [:]
  private let own: [IPAddress]

  internal init(_ configuration: TURNConfiguration, listeningAt listening: [IPAddress]) {
    let interfaces = NetworkInterfaces.addresses(v6: true)
    let named = listening.filter { $0 != .anyV4 && $0 != .anyV6 }
    // Loopback is no peer's address, at whatever port.
    own = (interfaces + named + configuration.addresses + configuration.externalAddresses).filter { !$0.isLoopback }
    // A server that listens at some addresses alone does not relay at others.
    let places = !configuration.addresses.isEmpty ? configuration.addresses : named.count == listening.count ? named : interfaces
    for family in [AddressFamily.v4, .v6] {
      guard let local = places.first(where: { AddressFamily(of: $0) == family }) else { continue }
      let external = configuration.externalAddresses.first { AddressFamily(of: $0) == family }
      relays[family] = (local, external ?? local)
    }
  }

  /// Peers may be relays of others, and this server's own WebRTC sockets.
  internal func rules(_ configuration: TURNConfiguration, mediaPorts: ClosedRange<UInt16>?) -> PeerRules {
    PeerRules(
      allow: configuration.allowedPeers, deny: configuration.deniedPeers, own: own,
      ownPorts: [configuration.ports] + (mediaPorts.map { [$0] } ?? []))
  }
}

extension TURNServerConfiguration {
  internal init(_ configuration: TURNConfiguration) {
    self.init()
    realm = configuration.realm
    isRelaying = configuration.isRelaying
    ports = configuration.ports
    relaysTCP = configuration.relaysTCP
    channels = configuration.takesFormerChannels ? ChannelData.formerChannels : ChannelData.channels
    answersClassic = configuration.answersClassic
    lifetime = configuration.lifetime
    longestLifetime = configuration.longestLifetime
    limits.permissions = configuration.limits.permissions
    limits.channels = configuration.limits.channels
    limits.bandwidth = configuration.limits.bitrate / 8
    limits.refusals = configuration.limits.refusals
    limits.refusalBurst = configuration.limits.refusals * 2
  }
}

extension TURNNonces {
  /// They ask clients to hide their names where hidden names are found.
  internal init(key: [UInt8], for credentials: TURNCredentials) {
    self.init(key: key, features: credentials.supportsUserhash ? [.passwordAlgorithms, .usernameAnonymity] : .passwordAlgorithms)
  }
}

extension TURNCredentials {
  internal init(_ configuration: TURNConfiguration) {
    let users = configuration.users.map { ($0.name, $0.password.value) }
    self.init(
      realm: configuration.realm, users: Dictionary(users) { first, _ in first }, secrets: configuration.secrets.map { $0.value })
  }
}

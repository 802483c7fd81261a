package import MartletPrimitives

/// Which peers a TURN server relays to. A relay is a hole into the network it stands in (RFC 8656 §21.1.4), so addresses that are not of
/// the public internet are denied, and the server's own, unless a rule allows them.
///
/// The most specific range that contains a peer decides; of equal ones `deny` goes before `allow`, and both before what is built in.
/// An IPv6 address that stands for an IPv4 one (6to4, NAT64) is judged by that, unless a configured range is of the IPv6 form itself.
package struct PeerRules: Sendable {
  package enum Verdict: Equatable, Sendable {
    case allowed
    case denied(Reason)
  }

  package enum Reason: Equatable, Sendable {
    /// `turn.peers.deny` has this range.
    case configured(AddressRange)
    case special(AddressRange, SpecialPurpose)
    /// The server's own, at a port where no relay can be.
    case ownAddress(IPAddress)
  }

  private enum Effect: Sendable {
    case allow
    case deny(Reason)
    /// Judge the IPv4 address that lies so many bits left of the end.
    case embedded(shift: Int)
  }

  private struct Rule: Sendable {
    let range: AddressRange
    let effect: Effect
  }

  /// The most specific first.
  private let rules: [Rule]
  private let own: Set<IPAddress>
  private let ownPorts: [ClosedRange<UInt16>]

  /// - Parameters:
  ///   - own: The server's addresses, also those it is known by outside of its network.
  ///   - ownPorts: Where at those addresses peers may be: relays of other clients, and the server's WebRTC sockets.
  package init(
    allow: [AddressRange] = [], deny: [AddressRange] = [], own: [IPAddress] = [], ownPorts: [ClosedRange<UInt16>] = []
  ) {
    // Loopback has a range of its own, so that allowing 127.0.0.0/8 allows it.
    let ownRules = own.filter { !$0.isLoopback }.map { Rule(range: AddressRange($0), effect: .deny(.ownAddress($0))) }
    let configured = deny.map { Rule(range: $0, effect: .deny(.configured($0))) } + allow.map { Rule(range: $0, effect: .allow) }
    let ranked = (configured + ownRules + Self.builtIn).enumerated().sorted {
      ($1.element.range.prefix, $0.offset) < ($0.element.range.prefix, $1.offset)
    }
    rules = ranked.map(\.element)
    self.own = Set(own)
    self.ownPorts = ownPorts
  }

  /// Whether there may be a permission for this address at all (RFC 8656 §10.2). At the server's own, ports decide as well.
  package func verdict(of peer: IPAddress) -> Verdict {
    let verdict = judge(peer)
    guard case .denied(let reason) = verdict, own.contains(peer), !ownPorts.isEmpty else { return verdict }
    if case .configured = reason { return verdict }
    return .allowed
  }

  /// Whether data may go to this address and port.
  package func verdict(of peer: SocketAddress) -> Verdict {
    let verdict = verdict(of: peer.ip)
    guard verdict == .allowed, own.contains(peer.ip), !ownPorts.contains(where: { $0.contains(peer.port) }) else { return verdict }
    return judge(peer.ip)
  }

  private func judge(_ peer: IPAddress) -> Verdict {
    guard let rule = rules.first(where: { $0.range.contains(peer) }) else { return .allowed }
    switch rule.effect {
    case .allow: return .allowed
    case .deny(let reason): return .denied(reason)
    case .embedded(let shift):
      guard case .v6(let high, let low) = peer else { return .allowed }
      return judge(.v4(UInt32(truncatingIfNeeded: shift >= 64 ? high >> UInt64(shift - 64) : low >> UInt64(shift))))
    }
  }

  private static let builtIn: [Rule] =
    SpecialPurpose.allCases.flatMap { purpose in
      purpose.ranges.map { Rule(range: $0, effect: .deny(.special($0, purpose))) }
    }
    + [("2002::/16", 80), ("64:ff9b::/96", 0)].compactMap { text, shift in
      AddressRange(text).map { Rule(range: $0, effect: .embedded(shift: shift)) }
    }
}

/// What addresses that are not of the public internet are for (RFC 6890 and the registries it began).
package enum SpecialPurpose: CaseIterable, Equatable, Sendable {
  case unspecified, loopback, linkLocal, privateUse, shared, multicast, documentation, benchmarking, reserved, translation

  fileprivate var ranges: [AddressRange] {
    let texts =
      switch self {
      case .unspecified: ["0.0.0.0/8", "::/128"]
      case .loopback: ["127.0.0.0/8", "::1/128"]
      // 169.254.169.254 is where clouds hand out credentials.
      case .linkLocal: ["169.254.0.0/16", "fe80::/10"]
      // fec0::/10 was site-local (RFC 3879).
      case .privateUse: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"]
      case .shared: ["100.64.0.0/10"]
      case .multicast: ["224.0.0.0/4", "ff00::/8"]
      case .documentation: ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"]
      case .benchmarking: ["198.18.0.0/15", "2001:2::/48"]
      // Broadcast is the last of 240.0.0.0/4; 192.88.99.0/24 was the anycast address of 6to4 relays.
      case .reserved: ["192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "100::/64", "5f00::/16"]
      // Forms that hide an IPv4 address in a way that is not worth taking apart: IPv4-compatible, SIIT, Teredo, ORCHID, local NAT64.
      case .translation: ["::/96", "::ffff:0:0:0/96", "2001::/23", "64:ff9b:1::/48"]
      }
    return texts.compactMap { AddressRange($0) }
  }
}

extension SpecialPurpose: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unspecified: "of this network"
    case .loopback: "loopback"
    case .linkLocal: "link-local"
    case .privateUse: "private"
    case .shared: "shared with a carrier (RFC 6598)"
    case .multicast: "multicast"
    case .documentation: "for documentation"
    case .benchmarking: "for benchmarks"
    case .reserved: "reserved"
    case .translation: "for translation to IPv4"
    }
  }
}

extension PeerRules.Reason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .configured(let range): "turn.peers.deny has \(range)"
    case .special(let range, let purpose): "\(range) is \(purpose); turn.peers.allow may permit it"
    case .ownAddress(let address): "\(address) is the server's own; turn.peers.allow may permit it"
    }
  }
}

internal import MartletEndpoints
internal import MartletPrimitives

/// Relaying for WebRTC and other clients behind NATs.
internal enum TURNSection {
  static let section = SettingSection(
    "turn", "The TURN server (listeners.turn, listeners.turns). Nobody can relay until users or secrets say who may.",
    [
      SettingKey(
        "realm", \.turn.realm, realm, "The realm that passwords belong to. A change makes clients ask for new credentials.",
        reloadable: true),
      SettingKey(
        "users", \.turn.users, .list(of: user), "Names and passwords that stay the same.",
        example: "[{name: alice, password: CHANGE-ME}]", reloadable: true, structured: true),
      SettingKey(
        "secrets", \.turn.secrets, .list(of: secret),
        "What makes credentials for a while (user EXPIRY:NAME, password HMAC-SHA1), as browsers' applications use. The first makes "
          + "new ones; the others are still taken.", example: "[{secret: CHANGE-ME-32-RANDOM-BYTES}]", reloadable: true,
        structured: true),
      SettingKey(
        "credential_lifetime", \.turn.credentialLifetime, .duration(.seconds(60)...TimeSpan.days(7)),
        "How long credentials are good that POST /api/v1/turn makes; those for a token end with it.", reloadable: true),
      SettingKey(
        "urls", \.turn.urls, .list(of: url),
        "What POST /api/v1/turn tells clients; without, the host that they asked and the ports of the listeners.",
        example: "[\"turn:turn.example.org:3478\", \"turns:turn.example.org:5349?transport=tcp\"]", reloadable: true),
      SettingKey(
        "http", \.turn.sharesHTTP, .bool,
        "Answers STUN and TURN on the ports of HTTP (over TCP) and HTTPS (over TLS) too, for networks that let nothing else through."),
      SettingKey("ports", \.turn.ports, portRange, "Where relayed addresses get their ports.", reloadable: true),
      SettingKey(
        "addresses", \.turn.addresses, .list(of: address),
        "Where relays are bound, one address of each family. Without, where the server listens, or the first of this machine.",
        example: "[192.0.2.10]", reloadable: true),
      SettingKey(
        "external_addresses", \.turn.externalAddresses, .list(of: address),
        "What clients are told in place of those, behind a NAT that passes turn.ports on.", example: "[203.0.113.7]", reloadable: true),
      SettingKey(
        "lifetime", \.turn.lifetime, .duration(.seconds(30)...TimeSpan.seconds(3600)), "Of an allocation that is not refreshed.",
        reloadable: true),
      SettingKey(
        "longest_lifetime", \.turn.longestLifetime, .duration(.seconds(30)...TimeSpan.days(1)), "That a client may ask for.",
        reloadable: true),
      SettingKey("tcp", \.turn.relaysTCP, .bool, "Relays TCP too (RFC 6062), for clients that come over TCP or TLS.", reloadable: true),
      SettingKey(
        "former_channels", \.turn.takesFormerChannels, .bool,
        "Takes channel numbers up to 0x7FFF, which clients of RFC 5766 may choose; those of RFC 8656 end at 0x4FFF.", reloadable: true),
    ], sections: [peers, limits])

  private static let peers = SettingSection(
    "peers",
    "Which addresses relays may talk to. Those that are not of the public internet are denied, and this machine's own but for "
      + "turn.ports and WebRTC's. The most specific range decides; of equal ones deny.",
    [
      SettingKey(
        "allow", \.turn.allowedPeers, .list(of: HTTPSection.range), "Ranges that may be reached.", example: "[192.168.1.0/24]",
        reloadable: true),
      SettingKey(
        "deny", \.turn.deniedPeers, .list(of: HTTPSection.range), "Ranges that may not.", example: "[198.51.100.0/24]", reloadable: true),
    ])

  private static let limits = SettingSection(
    "limits", "What clients may take.",
    [
      SettingKey("allocations", \.turn.limits.total, .int(1...1_000_000), "Relayed addresses of all clients.", reloadable: true),
      SettingKey(
        "allocations_per_user", \.turn.limits.perUser, .int(1...1_000_000),
        "Relayed addresses of one user. A browser takes several a connection.",
        reloadable: true),
      SettingKey(
        "allocations_per_address", \.turn.limits.perAddress, .int(1...1_000_000),
        "Relayed addresses of clients at one address (one /64 of IPv6). Loopback is exempt.", reloadable: true),
      SettingKey(
        "bandwidth", \.turn.limits.bitrate, .int(0...100_000_000_000, zero: "no limit"),
        "Bits a second of one allocation, in each direction; packets beyond are dropped.", reloadable: true),
      SettingKey(
        "user_bandwidth", \.turn.limits.userBitrate, .int(0...100_000_000_000, zero: "no limit"),
        "Bits a second of one user's allocations together, in each direction.", reloadable: true),
      SettingKey("permissions", \.turn.limits.permissions, .int(1...10_000), "Peer addresses of one allocation.", reloadable: true),
      SettingKey("channels", \.turn.limits.channels, .int(1...4096), "Channels of one allocation.", reloadable: true),
      SettingKey(
        "refusals", \.turn.limits.refusals, .int(1...1_000_000),
        "Answers a second to one address (one /64 of IPv6) that has not shown a password; requests beyond get none.", reloadable: true),
    ])

  /// What 401 answers carry must stay small: they go to addresses that may be forged.
  private static let realm = SettingType<String>.scalar("a name of at most 20 bytes such as example.org") { text in
    (1...20).contains(text.utf8.count) && !text.contains("\"") ? text : nil
  } write: {
    YAMLText.quoted($0)
  }

  private static let user = SettingType<TURNConfiguration.User>("{name, password}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a TURN user", ["name", "password", "password_file"]) { fields throws(SettingProblem) in
      let name = try fields.required("name", .text)
      guard (1...128).contains(name.utf8.count), !name.contains(":") else {
        throw fields.problem("name", "a name has 1 to 128 bytes and no colon, which stands in ephemeral names")
      }
      guard let password = try fields.secret("password") else { throw fields.missing("password", "the password itself, or password_file") }
      guard password.value.utf8.count >= 8 else { throw fields.problem("password", "at least 8 characters: a short one is guessed") }
      return TURNConfiguration.User(name: name, password: password)
    }
  } write: {
    "{name: \(YAMLText.quoted($0.name)), password: \"***\"}"
  }

  private static let secret = SettingType<Secret>("{secret} or {secret_file}") { node throws(SettingProblem) in
    try SettingFields.read(node, "a TURN secret", ["secret", "secret_file"]) { fields throws(SettingProblem) in
      guard let secret = try fields.secret("secret") else { throw fields.missing("secret", "the secret itself, or secret_file") }
      guard secret.value.utf8.count >= 16 else {
        throw fields.problem("secret", "at least 16 bytes, better 32; `openssl rand -base64 32` makes one")
      }
      return secret
    }
  } write: { _ in
    "{secret: \"***\"}"
  }

  private static let url = SettingType<String>.scalar("a turn: or turns: URL") { text in
    ["turn:", "turns:"].contains { text.hasPrefix($0) && text.count > $0.count } ? text : nil
  } write: {
    YAMLText.quoted($0)
  }

  private static let address = SettingType<IPAddress>.scalar("an address such as 192.0.2.10") {
    IPAddress($0)
  } write: {
    YAMLText.quoted("\($0)")
  }

  private static let portRange = SettingType<ClosedRange<UInt16>>.scalar("a range of ports from 1024 on, such as 49152-65535") { text in
    let parts = text.split(separator: "-").map { UInt16($0) }
    guard parts.count == 2, let first = parts[0], let last = parts[1], first >= 1024, first <= last else { return nil }
    return first...last
  } write: {
    "\($0.lowerBound)-\($0.upperBound)"
  }
}

/// What STUN clients may expect beyond Binding.
internal enum STUNSection {
  static let section = SettingSection(
    "stun", "The STUN server, on the ports of the TURN server.",
    [
      SettingKey(
        "classic", \.turn.answersClassic, .bool,
        "Answers clients of RFC 3489 too, which send no magic cookie: any other datagram of that form is answered as well.",
        reloadable: true),
      SettingKey(
        "alternate", \.turn.alternate, .listener,
        "A second address of this machine with another port, \"192.0.2.11:3479\": then clients can find out what NAT they are behind "
          + "(RFC 5780). listeners.turn has to name the first address."),
    ])
}

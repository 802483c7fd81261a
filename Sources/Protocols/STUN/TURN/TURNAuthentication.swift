internal import MartletPrimitives

/// The long-term credential mechanism from the client's side (RFC 8489 §9.2): what the server's last challenge asks for.
struct TURNAuthentication: Sendable {
  private let username: String
  private let password: String
  private var challenge: Challenge?

  private struct Challenge {
    var realm: String
    var nonce: String
    var key: STUNKey
    var integrity: STUNIntegrity
    /// The username is hidden behind its hash.
    var isAnonymous: Bool
    /// What the server offered and what was chosen; both are sent back so that nobody between can weaken the choice.
    var algorithms: (offered: [PasswordAlgorithm], chosen: PasswordAlgorithm)?
  }

  init(username: String, password: String) {
    self.username = username
    self.password = password
  }

  var isChallenged: Bool { challenge != nil }
  var key: STUNKey? { challenge?.key }
  var integrity: STUNIntegrity { challenge?.integrity ?? .sha1 }

  /// Takes a 401 or 438. `false` when it cannot be answered, or when its nonce announces features that somebody has taken
  /// out of the message (RFC 8489 §9.2.5: a bid-down attack).
  mutating func take(_ message: STUNMessage) -> Bool {
    guard let nonce = message.nonce, let realm = message.realm ?? challenge?.realm else { return false }
    let features = Self.features(nonce)
    guard features & Self.passwordAlgorithmsBit == 0 || message.passwordAlgorithms != nil else { return false }
    // Without the bit in the nonce nothing protects the list (§9.2.1), so it is not used.
    let offered = features & Self.passwordAlgorithmsBit == 0 ? nil : message.passwordAlgorithms
    let chosen = offered?.first { $0 == .sha256 || $0 == .md5 }
    guard offered == nil || chosen != nil else { return false }
    guard let key = STUNKey.longTerm(username: username, realm: realm, password: password, chosen ?? .md5) else { return false }
    challenge = Challenge(
      realm: realm, nonce: nonce, key: key, integrity: chosen == nil ? .sha1 : .sha256,
      isAnonymous: features & Self.usernameAnonymityBit != 0, algorithms: chosen.map { (offered ?? [], $0) })
    return true
  }

  /// What a request carries in front of its integrity; nothing before the first challenge.
  var attributes: [STUNAttribute] {
    guard let challenge else { return [] }
    let name: STUNAttribute =
      challenge.isAnonymous ? .userhash(Slice(STUNKey.userhash(username: username, realm: challenge.realm))) : .username(username)
    let algorithms: [STUNAttribute] =
      challenge.algorithms.map { [.passwordAlgorithms($0.offered), .passwordAlgorithm($0.chosen)] } ?? []
    return [name, .realm(challenge.realm), .nonce(challenge.nonce)] + algorithms
  }

  /// The security feature bits of a nonce that begins with the nonce cookie (RFC 8489 §9.2, §18.1); bit 0 is the rightmost.
  private static func features(_ nonce: String) -> UInt32 {
    let cookie = "obMatJos2"
    guard nonce.hasPrefix(cookie), let bytes = Base64.decode(nonce.dropFirst(cookie.count).prefix(4)), bytes.count == 3 else { return 0 }
    return bytes.reduce(0) { $0 << 8 | UInt32($1) }
  }

  private static let passwordAlgorithmsBit: UInt32 = 1
  private static let usernameAnonymityBit: UInt32 = 2
}

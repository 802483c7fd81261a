internal import MartletCrypto
internal import MartletPrimitives

/// Who may allocate at the server, found by the name in a request.
package struct TURNAccount: Equatable, Sendable {
  /// What the client sends and its key is made of.
  package let username: String
  /// Who quotas and metrics count: the static name, or what stands between `EXPIRY:` and the grant. Of an ephemeral name without that
  /// part, the name itself.
  package let user: String
  package let password: String
  /// Of an ephemeral account while secrets are being changed: what the older ones would have made of the name. Whoever verifies a
  /// request tries them after `password`.
  package let olderPasswords: [String]
  /// When the account ends, in Unix seconds; `nil` for a static one. An allocation is not refreshed beyond it.
  package let expires: Int64?
  /// Of an ephemeral account that was made for a token.
  package var grant: TURNGrant?
}

/// Why a name has no account. The client is told 401 whichever it is (RFC 8489 §9.2.4); the log is told more.
package enum TURNCredentialError: Error, Equatable, Sendable {
  case unknown
  case expired(at: Int64)
  case revoked(user: String)
}

extension TURNCredentialError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unknown: "no such user; turn.users has the names, or turn.secrets what makes EXPIRY:USER valid"
    case .expired(let seconds): "the credential has expired at \(seconds) Unix seconds"
    case .revoked(let user): "the token that \(user) got the credential for has been revoked"
    }
  }
}

/// The accounts of a TURN server: static users, and ephemeral ones of a shared secret (draft-uberti-behave-turn-rest), whose name is
/// `EXPIRY:USER` in Unix seconds and whose password is the base64 of its HMAC-SHA1 under the secret. Nothing is stored per ephemeral user.
package struct TURNCredentials: Sendable {
  package let realm: String
  private let users: [String: String]
  /// The newest first: it is what credentials are minted with.
  private let secrets: [String]
  private let names: [[UInt8]: String]

  package init(realm: String, users: [String: String] = [:], secrets: [String] = []) {
    self.realm = realm
    self.users = users
    self.secrets = secrets
    let hashes = users.keys.map { (STUNKey.userhash(username: $0, realm: realm), $0) }
    names = Dictionary(hashes) { first, _ in first }
  }

  /// Nobody can allocate.
  package var isEmpty: Bool { users.isEmpty && secrets.isEmpty }

  /// Whether clients may be told to hide their name (RFC 8489 §9.2, the username anonymity bit). The hash of an ephemeral name cannot be
  /// turned back, since it is made where the secret is, not here; and once the bit is set a client must hide every name. Such a name
  /// need not be hidden either: whoever mints it chooses what USER says.
  package var supportsUserhash: Bool { !users.isEmpty && secrets.isEmpty }

  /// The account of a USERNAME.
  package func account(named username: String, unixTime: Int64) throws(TURNCredentialError) -> TURNAccount {
    if let password = users[username] {
      return TURNAccount(username: username, user: username, password: password, olderPasswords: [], expires: nil)
    }
    guard !secrets.isEmpty, let (expires, user, grant) = Self.ephemeral(username) else { throw .unknown }
    guard unixTime < expires else { throw .expired(at: expires) }
    let passwords = secrets.map { Self.password(of: username, secret: $0) }
    return TURNAccount(
      username: username, user: user, password: passwords[0], olderPasswords: Array(passwords.dropFirst()), expires: expires, grant: grant)
  }

  /// The account of a USERHASH: of static users alone.
  package func account(userhash: [UInt8], unixTime: Int64) throws(TURNCredentialError) -> TURNAccount {
    guard let name = names[userhash] else { throw .unknown }
    return try account(named: name, unixTime: unixTime)
  }

  /// A name and password that are valid until `expires`, in Unix seconds, or until the grant is revoked; `nil` without a secret.
  package func mint(for user: String, expires: Int64, grant: TURNGrant? = nil) -> (username: String, password: String)? {
    guard let secret = secrets.first else { return nil }
    let username = "\(expires):\(grant.map { "\(Self.name(of: user));\($0.text)" } ?? user)"
    return (username, Self.password(of: username, secret: secret))
  }

  /// What of a user's name fits into USERNAME beside the rest, which must stay below 509 bytes (RFC 8489 §14.3).
  static func name(of user: String) -> String { String(decoding: user.utf8.prefix(128), as: UTF8.self) }

  private static func password(of username: String, secret: String) -> String {
    Base64.encode(Digest.hmac(.sha1, key: Array(secret.utf8), Array(username.utf8)))
  }

  private static func ephemeral(_ username: String) -> (expires: Int64, user: String, grant: TURNGrant?)? {
    let parts = username.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard let digits = parts.first, digits.utf8.allSatisfy({ (48...57).contains($0) }), let expires = Int64(digits) else { return nil }
    guard parts.count == 2, !parts[1].isEmpty else { return (expires, username, nil) }
    guard let mark = parts[1].lastIndex(of: ";"), let grant = TURNGrant(parts[1][parts[1].index(after: mark)...]) else {
      return (expires, String(parts[1]), nil)
    }
    return (expires, mark == parts[1].startIndex ? username : String(parts[1][..<mark]), grant)
  }
}

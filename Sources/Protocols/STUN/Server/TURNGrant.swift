internal import MartletCrypto
internal import MartletPrimitives

/// What an ephemeral name says of the token it was made for, by which a revocation finds it: `EXPIRY:USER;MADE-TOKEN`, with the Unix
/// seconds of its making and sixteen digits of a digest of the token's id. To other servers of the same secret that is part of USER.
package struct TURNGrant: Equatable, Sendable {
  let made: Int64
  let token: UInt64

  /// - Parameter token: its id; `nil` when it has none, or when something else allowed it.
  package init(token: String?, made: Int64) {
    self.made = made
    self.token = Self.digest(token ?? "")
  }

  /// What stands behind the last semicolon; `nil` when it is nothing of ours.
  init?(_ text: Substring) {
    let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].utf8.allSatisfy({ (48...57).contains($0) }), let made = Int64(parts[0]),
      parts[1].utf8.count == 16, let digest = Hex.decode(parts[1])
    else { return nil }
    self.made = made
    token = digest.reduce(0) { $0 << 8 | UInt64($1) }
  }

  var text: String {
    "\(made)-\(Hex.encode((0..<8).map { UInt8(truncatingIfNeeded: token >> UInt64(56 - $0 * 8)) }))"
  }

  static func digest(_ token: String) -> UInt64 {
    Digest.hash(.sha256, Array(token.utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}

/// Grants that count no more: those made for a token, or for a user up to a moment.
package struct TURNRevocations: Sendable {
  private var tokens: Set<UInt64> = []
  private var users: [String: Int64] = [:]

  package init() {}

  package mutating func revoke(token id: String) { tokens.insert(TURNGrant.digest(id)) }

  /// - Parameter unixTime: what is made in a later second is good again.
  package mutating func revoke(user: String, at unixTime: Int64) { users[TURNCredentials.name(of: user)] = unixTime }

  /// Names without a grant were made elsewhere, for nothing that can be revoked here.
  func contain(_ user: String, _ grant: TURNGrant?) -> Bool {
    guard let grant else { return false }
    return tokens.contains(grant.token) || users[user].map { grant.made <= $0 } ?? false
  }
}

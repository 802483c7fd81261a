internal import MartletCrypto
package import MartletPrimitives
package import MartletSTUN

/// Tokens that count no more: single ones by their id, or all that a user got before a moment.
package struct Revocations: Equatable, Sendable {
  /// More could only be an accident or an attack; a revocation that cannot be kept is refused, never forgotten.
  package static let limit = 100_000
  /// Ids are text of a token, users too.
  package static let maximumLength = 512

  private var tokens: Set<String> = []
  private var users: [String: WallTime] = [:]

  package init() {}
  package var isFull: Bool { tokens.count + users.count >= Self.limit }
  /// How often something was revoked: grows with each.
  package private(set) var count = 0

  package mutating func revoke(token id: String) {
    tokens.insert(id)
    count += 1
  }

  /// Tokens made later are good again.
  package mutating func revoke(user: String, at time: WallTime) {
    users[user] = time
    count += 1
  }

  /// What is kept in the state folder.
  package var json: JSON {
    var times = JSON.Object()
    for (user, time) in users { times[user] = .int(time.milliseconds) }
    return ["tokens": .array(tokens.map { .string($0) }), "users": .object(times)]
  }

  /// What of it the TURN server must know: names that were made for tokens.
  package func add(to relays: inout TURNRevocations) {
    for token in tokens { relays.revoke(token: token) }
    for (user, time) in users { relays.revoke(user: user, at: time.milliseconds / 1000) }
  }

  internal func contains(_ claims: JWTClaims) -> Bool {
    if let id = claims.id, tokens.contains(id) { return true }
    guard let user = claims.subject, let time = users[user] else { return false }
    // Whole seconds are all that a token knows: one of the same second is taken for an earlier one.
    guard let issued = claims["iat"]?.doubleValue else { return true }
    return issued * 1000 <= Double(time.milliseconds)
  }
}

internal import MartletCrypto
internal import MartletPrimitives

/// What integrity attributes are keyed with (RFC 8489 §9.1.1, §9.2.2). Names and passwords are taken as they are: whoever has
/// them from a person applies the OpaqueString profile first.
package struct STUNKey: Equatable, Sendable {
  let bytes: [UInt8]

  /// ICE: the password itself.
  package static func shortTerm(password: String) -> STUNKey { STUNKey(bytes: Array(password.utf8)) }

  /// TURN: a hash of `username:realm:password`. `nil` for an algorithm other than MD5 and SHA-256.
  package static func longTerm(username: String, realm: String, password: String, _ algorithm: PasswordAlgorithm = .md5) -> STUNKey? {
    let secret = Array("\(username):\(realm):\(password)".utf8)
    switch algorithm.number {
    case PasswordAlgorithm.md5.number: return STUNKey(bytes: Digest.hash(.md5, secret))
    case PasswordAlgorithm.sha256.number: return STUNKey(bytes: Digest.hash(.sha256, secret))
    default: return nil
    }
  }

  /// USERHASH (RFC 8489 §14.4): 32 bytes that stand for a name on the wire.
  package static func userhash(username: String, realm: String) -> [UInt8] { Digest.hash(.sha256, Array("\(username):\(realm)".utf8)) }
}

internal import MartletCrypto
internal import MartletEndpoints
package import MartletPrimitives

/// Makes tokens for `martlet token`.
package enum TokenMint {
  package static let flags: [CommandFlag] = [
    CommandFlag("secret", "TEXT", "the HS256 secret (better: --key-file, or MARTLET_TOKEN_SECRET)"),
    CommandFlag("key-file", "FILE", "a private key in PEM form (RSA, P-256, Ed25519), or a file that holds the HS256 secret"),
    CommandFlag("key-id", "ID", "names the key in the token (kid)"),
    CommandFlag("sub", "NAME", "who the token is for"),
    CommandFlag("can", "ACTION:PATTERN", "what it allows, such as publish:live/* or play:**; may be repeated", repeatable: true),
    CommandFlag("expires", "DURATION", "how long it is valid, such as 1h or 30d (default 1h)"),
  ]

  package static func mint(
    _ arguments: CommandLineArguments, environment: [String: String], now: WallTime, id: String
  ) throws(UsageError) -> String {
    let abilities = arguments.all("can")
    guard !abilities.isEmpty else { throw UsageError("--can is missing: what the token allows, such as --can 'publish:live/*'") }
    var can: [JSON] = []
    for ability in abilities { can.append(try permission(ability)) }
    let validity = try validity(arguments)
    var claims = JSON.Object()
    if let subject = arguments["sub"] { claims["sub"] = .string(subject) }
    claims["jti"] = .string(id)
    claims["iat"] = .int(now.milliseconds / 1000)
    claims["exp"] = .int((now.milliseconds + validity.milliseconds) / 1000)
    claims["can"] = .array(can)
    do {
      return try JWT.sign(.object(claims), with: try key(arguments, environment))
    } catch let error as JWTError { throw UsageError("\(error)") } catch let error as UsageError { throw error } catch {
      throw UsageError("\(error)")
    }
  }

  internal static func validity(_ arguments: CommandLineArguments) throws(UsageError) -> TimeSpan {
    let expires = arguments["expires"] ?? "1h"
    guard let validity = TimeSpanText.parse(expires), validity > .zero else {
      throw UsageError("--expires \(expires): expected a duration such as 30m, 1h or 30d")
    }
    return validity
  }

  private static func permission(_ text: String) throws(UsageError) -> JSON {
    let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
    guard let action = AccessAction(rawValue: parts[0]) else {
      let names = AccessAction.allCases.map(\.rawValue)
      let meant = Suggestion.nearest(to: parts[0], among: names).map { "; did you mean \($0)?" }
      throw UsageError("--can \(text): there is no action \"\(parts[0])\"\(meant ?? "; there are " + names.joined(separator: ", "))")
    }
    let pattern = parts.count == 2 ? parts[1] : "**"
    guard PathPattern(pattern) != nil else { throw UsageError("--can \(text): \"\(pattern)\" is no pattern such as live/* or **") }
    return ["do": .string(action.rawValue), "on": .string(pattern)]
  }

  private static func key(_ arguments: CommandLineArguments, _ environment: [String: String]) throws -> JWTSigningKey {
    let id = arguments["key-id"]
    if let path = arguments["key-file"] {
      guard arguments["secret"] == nil else { throw UsageError("--secret and --key-file exclude each other") }
      let content = try keyFile(path)
      if String(decoding: content, as: UTF8.self).contains("-----BEGIN") { return try JWTSigningKey(privateKeyPEM: content, id: id) }
      return try JWTSigningKey(secret: content, id: id)
    }
    guard let secret = arguments["secret"] ?? environment["MARTLET_TOKEN_SECRET"] else {
      throw UsageError("what to sign with is missing: --key-file FILE, --secret TEXT or MARTLET_TOKEN_SECRET")
    }
    return try JWTSigningKey(secret: Array(secret.utf8), id: id)
  }
  /// What the file holds, without white space around it.
  internal static func keyFile(_ path: String) throws(UsageError) -> [UInt8] {
    do throws(FileError) {
      return Array(try SmallFile.read(path).drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed())
    } catch { throw UsageError("--key-file: \(error)") }
  }
}

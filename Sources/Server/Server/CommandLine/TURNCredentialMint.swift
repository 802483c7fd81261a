package import MartletPrimitives
internal import MartletSTUN

/// Makes the credentials that `martlet token turn` prints: a name and password for a TURN server that has the same secret, in the shape
/// of RTCIceServer.
package enum TURNCredentialMint {
  package static let urlFlag = CommandFlag("url", "URL", "turn: a server's URL, printed along; may be repeated", repeatable: true)

  package static func mint(
    _ arguments: CommandLineArguments, environment: [String: String], now: WallTime
  ) throws(UsageError) -> String {
    let expires = (now.milliseconds + (try TokenMint.validity(arguments)).milliseconds) / 1000
    let urls = arguments.all("url")
    for url in urls where !["turn:", "turns:"].contains(where: { url.hasPrefix($0) }) {
      throw UsageError("--url \(url): expected turn:HOST:3478 or turns:HOST:5349")
    }
    let user = arguments["sub"] ?? ""
    // RFC 8489 §14.3: with "EXPIRY:" in front it must stay below 509 bytes.
    guard user.utf8.count <= 480 else { throw UsageError("--sub: a name of more than 480 bytes does not fit USERNAME") }
    let credentials = TURNCredentials(realm: "", secrets: [try secret(arguments, environment)])
    guard let (username, password) = credentials.mint(for: user, expires: expires) else { throw UsageError("the secret is missing") }
    var server = JSON.Object()
    if !urls.isEmpty { server["urls"] = .array(urls.map { .string($0) }) }
    server["username"] = .string(username)
    server["credential"] = .string(password)
    return String(decoding: JSON.object(server).serialized, as: UTF8.self)
  }

  private static func secret(_ arguments: CommandLineArguments, _ environment: [String: String]) throws(UsageError) -> String {
    if let path = arguments["key-file"] {
      guard arguments["secret"] == nil else { throw UsageError("--secret and --key-file exclude each other") }
      return String(decoding: try TokenMint.keyFile(path), as: UTF8.self)
    }
    guard let secret = arguments["secret"] ?? environment["MARTLET_TURN_SECRET"], !secret.isEmpty else {
      throw UsageError("the secret of turn.secrets is missing: --key-file FILE, --secret TEXT or MARTLET_TURN_SECRET")
    }
    return secret
  }
}

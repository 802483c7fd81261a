internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN
internal import MartletWeb
internal import Synchronization

/// `POST /api/v1/turn`: credentials of the TURN server for a while, as RTCPeerConnection takes them.
///
/// It takes the permission `relay` on `turn`, also where nothing else needs one: a relay that is open to everybody carries everything.
/// What a token allows ends with the token.
internal enum TURNCredentialResource {
  private static let server = APISchema.object([
    .always("urls", .array(.string), "turn: and turns: URLs"), .always("username", .string, "EXPIRY:USER;MADE-TOKEN, in Unix seconds"),
    .always("credential", .string, "Its password"),
  ])

  static let routes = [
    APIRoute(
      .post, "/api/v1/turn", "Credentials of the TURN server, in the shape of RTCConfiguration. Takes the permission relay on turn",
      response: .object([
        .always("iceServers", .array(server), "For new RTCPeerConnection(…)"), .always("ttl", .integer, "Seconds that they are good"),
      ]), isOpen: true
    ) { endpoint, exchange, _ in ask(endpoint, exchange) }
  ]

  private static func ask(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    let request = exchange.accessRequest(.relay, on: "turn", transport: "turn")
    endpoint.access.decide(request) { [weak endpoint] decision in
      guard let endpoint, !exchange.isFinished else { return }
      switch decision {
      case .denied(let reason, let isFinal):
        endpoint.context.log(.warning, "turn", "no credentials: \(reason)", ["peer": "\(exchange.remote)"])
        exchange.deny(request, reason, isFinal: isFinal)
      case .allowed(let user, let expires, let token):
        answer(endpoint, exchange, user: user ?? "\(exchange.remote.ip)", expires: expires, token: token)
      }
    }
  }

  private static func answer(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, user: String, expires: WallTime?, token: String?) {
    do throws(Refusal) {
      let (server, ttl) = try mint(endpoint, authority: exchange.request.authority, user: user, expires: expires, token: token)
      // Credentials are nobody else's.
      exchange.responseFields.append("Cache-Control", "no-store")
      exchange.respond(.ok, json: ["iceServers": [server], "ttl": .int(ttl)])
    } catch { exchange.refuse(error.status, error.reason) }
  }

  internal struct Refusal: Error {
    let status: HTTPStatus
    let reason: String
  }

  /// An `RTCIceServer` with credentials of its own, and how many seconds they are good.
  ///
  /// - Parameters:
  ///   - authority: the host that was asked, which the URLs have too.
  ///   - token: the id of the token that this is for, with which they are revoked.
  internal static func mint(
    _ endpoint: RESTEndpoint, authority: String?, user: String, expires: WallTime?, token: String?
  ) throws(Refusal) -> (server: JSON, ttl: Int64) {
    let turn = endpoint.context.service(TURNListener.self).configuration
    let now = endpoint.context.wallTime.milliseconds / 1000
    let longest = turn.credentialLifetime.nanoseconds / 1_000_000_000
    let ttl = min(longest, expires.map { $0.milliseconds / 1000 - now } ?? longest)
    guard ttl > 0 else { throw Refusal(status: .forbidden, reason: "the token has expired") }
    let grant = TURNGrant(token: token, made: now)
    let credentials = TURNCredentials(realm: turn.realm, secrets: turn.secrets.map(\.value))
    guard let (username, password) = credentials.mint(for: user, expires: now + ttl, grant: grant) else {
      throw Refusal(status: .notFound, reason: "there is no secret to make credentials of (turn.secrets)")
    }
    let urls = turn.urls.isEmpty ? self.urls(endpoint, authority, sharesHTTP: turn.sharesHTTP) : turn.urls
    guard !urls.isEmpty else {
      throw Refusal(status: .notFound, reason: "the TURN server does not listen (listeners.turn, listeners.turns)")
    }
    return (["urls": .array(urls.map { .string($0) }), "username": .string(username), "credential": .string(password)], ttl)
  }

  /// That host with the ports that are open. Few, since browsers try each of them.
  private static func urls(_ endpoint: RESTEndpoint, _ authority: String?, sharesHTTP: Bool) -> [String] {
    guard let host = authority.map(hostOnly), let open = endpoint.shared.state.listeners.withLock({ $0 }) else { return [] }
    var urls: [String] = []
    if let port = open.turn?.port { urls += ["turn:\(host):\(port)?transport=udp", "turn:\(host):\(port)?transport=tcp"] }
    if let port = open.turns?.port ?? (sharesHTTP ? open.https?.port : nil) { urls.append("turns:\(host):\(port)?transport=tcp") }
    return urls
  }

  private static func hostOnly(_ authority: String) -> Substring {
    guard let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") else { return authority[...] }
    return authority[..<colon]
  }
}

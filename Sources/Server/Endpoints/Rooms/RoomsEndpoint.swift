package import MartletHTTP
internal import MartletIO
package import MartletMessages
package import MartletPrimitives
package import MartletRooms
package import MartletWeb

/// Rooms over HTTP: `POST /rooms/NAME` with a command, and a WebSocket at the same place. What participants hear comes through channels.
package final class RoomsEndpoint {
  internal let hub: RoomHub
  internal let messages: MessageHub
  internal let access: any AccessControl
  /// What participants reach each other by: an `RTCIceServer` with credentials for a while. Set once, before anything is served.
  package var iceServer: (_ authority: String?, _ user: String, _ expires: WallTime?, _ token: String?) -> JSON? = { _, _, _, _ in nil }
  internal var random = RandomSource.system
  internal let socketOptions: WebSocketOptions

  /// - Parameter webSocket: the server's; the limit on messages is that of commands.
  package init(_ hub: RoomHub, messages: MessageHub, access: any AccessControl, webSocket: WebSocketConfiguration) {
    self.hub = hub
    self.messages = messages
    self.access = access
    var webSocket = webSocket
    webSocket.limits.message = RoomLimits.command
    webSocket.limits.frame = webSocket.limits.message
    socketOptions = WebSocketOptions(webSocket)
  }

  package func add(to router: Router) {
    router.on(.post, "/rooms/{name}") { [unowned self] exchange, parameters in post(exchange, parameters["name"]) }
    router.on(.get, "/skyrtc") { [unowned self] exchange, _ in connectSkyRTC(exchange) }
    router.on(.get, "/rooms/{name}") { [unowned self] exchange, parameters in connect(exchange, parameters["name"]) }
  }

  // MARK: HTTP

  private func post(_ exchange: HTTPExchange, _ text: String) {
    guard let name = name(text, exchange) else { return }
    exchange.collectBody(limit: RoomLimits.command) { [self] body in
      let asker = RoomAsker(exchange, "http", self)
      let json: JSON
      do throws(RoomError) { json = try Self.parse(Slice(body)) } catch { return Self.answer(exchange, .failure(error)) }
      asker.perform(json, in: name) { Self.answer(exchange, $0) }
    }
  }

  private func name(_ text: String, _ exchange: HTTPExchange) -> RoomName? {
    do throws(ParseError) { return try RoomName(text) } catch {
      exchange.refuse(.badRequest, "\(error)")
      return nil
    }
  }

  internal static func parse(_ bytes: Slice) throws(RoomError) -> JSON {
    var limits = JSONLimits()
    limits.bytes = RoomLimits.command
    limits.depth = 32
    do throws(ParseError) { return try JSON(parsing: bytes.bytes, limits: limits) } catch { throw .badCommand("not a command: \(error)") }
  }

  private static func answer(_ exchange: HTTPExchange, _ result: Result<JSON, RoomError>) {
    guard !exchange.isFinished else { return }
    exchange.responseFields.append("Cache-Control", "no-store")
    switch result {
    case .success(let json): exchange.respond(json["ok"] == .bool(false) ? .accepted : .ok, json: json)
    case .failure(let error):
      if case .noCredentials = error { exchange.responseFields.append("WWW-Authenticate", "Bearer realm=\"martlet\"") }
      exchange.respond(error.status, json: error.json)
    }
  }

  // MARK: WebSocket

  private func connect(_ exchange: HTTPExchange, _ text: String) {
    guard let name = name(text, exchange) else { return }
    accept(exchange, "ws", "this is a WebSocket, or takes commands by POST; see docs/rooms.md") { session, asker in
      RoomSocket(session, asker, name, self)
    }
  }

  private func connectSkyRTC(_ exchange: HTTPExchange) {
    accept(exchange, "skyrtc", "this is a WebSocket for SkyRTC clients; see docs/rooms.md") { session, asker in
      SkyRTCSocket(session, asker, self)
    }
  }

  private func accept(
    _ exchange: HTTPExchange, _ transport: String, _ advice: String, _ make: (WebSocketSession, RoomAsker) -> any RoomConnection
  ) {
    guard WebSocketHandshake.isRequested(by: exchange.request) else { return exchange.refuse(.upgradeRequired, advice) }
    let asker = RoomAsker(exchange, transport, self)
    guard let session = exchange.acceptWebSocket(socketOptions) else { return }
    let connection = make(session, asker)
    session.handler = connection
    messages.add(connection)
  }
}

extension RoomError {
  internal var json: JSON { ["ok": false, "code": .string(code), "error": .string(description)] }

  package var status: HTTPStatus {
    switch self {
    case .badCommand: .badRequest
    case .noCredentials: .unauthorized
    case .forbidden, .full, .locked: .forbidden
    case .gone: .gone
    case .noParticipant: .notFound
    case .waiting: .accepted
    case .noMedia: .conflict
    case .limit: .contentTooLarge
    case .busy: .tooManyRequests
    }
  }
}

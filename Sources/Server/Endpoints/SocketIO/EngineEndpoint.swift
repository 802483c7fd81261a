internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletSocketIO
package import MartletWeb

/// Engine.IO at one path of the HTTP server: polling, WebSocket, and the way of each request to its session's worker.
package final class EngineEndpoint {
  /// Without a slash at the end, as the router has it.
  internal let path: String
  internal let configuration: SocketIOConfiguration
  internal let context: LoopContext
  /// Of all its WebSockets, whichever worker they come in at.
  internal let webSocketOptions: WebSocketOptions
  private let relay: EngineRelay
  private let held: HeldExchanges
  private var connections: [String: EngineConnection] = [:]
  private let makeHandler: (EngineConnection) -> any EngineConnectionHandler
  private var isDraining = false

  /// - Parameters:
  ///   - webSocket: what the configuration says of WebSockets.
  ///   - makeHandler: the owner of a new session.
  package init(
    _ configuration: SocketIOConfiguration, webSocket: WebSocketConfiguration, relay: EngineRelay, held: HeldExchanges,
    makeHandler: @escaping (EngineConnection) -> any EngineConnectionHandler
  ) {
    var path = configuration.path
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
    self.configuration = configuration
    self.relay = relay
    self.held = held
    context = relay.context
    self.makeHandler = makeHandler
    webSocketOptions = Self.options(webSocket, configuration.engine.limits)
    relay.add(self)
  }

  /// Engine.IO has its own heartbeat and its own queue. Compression is off, as in the reference implementation: messages are
  /// small, and a compressor for each session is not.
  private static func options(_ configuration: WebSocketConfiguration, _ limits: EngineLimits) -> WebSocketOptions {
    var configuration = configuration
    configuration.limits.message = limits.payloadBytes
    configuration.limits.frame = limits.payloadBytes
    configuration.deflate.isEnabled = false
    configuration.ping = .zero
    configuration.idle = .zero
    configuration.queue = limits.queuedBytes * 2
    return WebSocketOptions(configuration)
  }

  package func add(to router: Router) {
    // A method that the protocol has no use for is answered in its own words.
    for method in [HTTPMethod.get, .post, .put, .patch, .delete, .connect] {
      router.on(method, path) { [unowned self] exchange, _ in self.handle(exchange) }
    }
  }

  package var sessions: [EngineConnection] { Array(connections.values) }
  internal func connection(_ sid: String) -> EngineConnection? { connections[sid] }
  internal func remove(_ connection: EngineConnection) { connections[connection.sid] = nil }

  /// Every client is told to come again, which it does at another server, or at the next one here.
  package func drain() {
    isDraining = true
    for connection in sessions { connection.close() }
  }

  // MARK: Requests

  private func handle(_ exchange: HTTPExchange) {
    let query = exchange.request.target.query
    let asksUpgrade = WebSocketHandshake.isRequested(by: exchange.request)
    let isGet = exchange.request.method == .get || exchange.request.connectProtocol != nil
    let request: EngineRequest
    do throws(EngineRefusal) {
      request = try EngineRequest({ query.first($0) }, isGet: isGet, asksUpgrade: asksUpgrade)
    } catch { return refuse(exchange, error) }
    guard let sid = request.sid else { return open(exchange, request.transport) }
    guard let home = home(of: sid) else { return refuse(exchange, .unknownSession) }
    let address = EngineAddress(endpoint: path, sid: sid)
    switch (request.transport, exchange.request.method) {
    case (.webSocket, _): upgrade(exchange, address, home)
    case (.polling, .get): poll(exchange, address, home)
    case (.polling, .post): post(exchange, address, home)
    default: refuse(exchange, .badRequest)
    }
  }

  private func open(_ exchange: HTTPExchange, _ transport: EngineTransport) {
    guard !isDraining, connections.count < configuration.maximumSessions else {
      exchange.responseFields.append("Retry-After", "5")
      return exchange.refuse(.serviceUnavailable, "no more Socket.IO sessions can be opened (socketio.sessions)")
    }
    let connection = EngineConnection(
      newID(), transport, opening: exchange.accessRequest(.subscribe, on: "", transport: "socket.io"),
      fields: EngineOpeningFields(fields: exchange.request.fields), self)
    switch transport {
    case .polling:
      if !configuration.cookie.isEmpty {
        let secure = exchange.isSecure ? "; Secure" : ""
        exchange.responseFields.append("Set-Cookie", "\(configuration.cookie)=\(connection.sid); Path=/; HttpOnly; SameSite=Lax\(secure)")
      }
      keep(connection)
      connection.start(answering: hold(poll: exchange, EngineAddress(endpoint: path, sid: connection.sid), context.loop.index))
    case .webSocket:
      guard let session = exchange.acceptWebSocket(webSocketOptions) else { return }
      keep(connection)
      let socket = LocalSocket(limit: connection.queueLimit)
      socket.open(session)
      connection.start(over: socket)
    }
  }

  private func keep(_ connection: EngineConnection) {
    connections[connection.sid] = connection
    connection.handler = makeHandler(connection)
  }

  // MARK: Ids

  /// A worker's index and 112 random bits: whoever has the id has the session.
  private func newID() -> String {
    Base64.encode([UInt8(truncatingIfNeeded: context.loop.index)] + (0..<14).map { _ in UInt8.random(in: 0...255) }, .url)
  }

  /// The worker that a session lives on; `nil` for what no worker gave out.
  private func home(of sid: String) -> Int? {
    guard sid.utf8.count == 20, let bytes = Base64.decode(sid), bytes.count == 15, bytes[0] < relay.workers else { return nil }
    return Int(bytes[0])
  }

  // MARK: At the door

  /// A poll is answered by a ping at the latest.
  private func hold(poll exchange: HTTPExchange, _ address: EngineAddress, _ home: Int) -> HeldExchange {
    let limit = configuration.engine.pingInterval + configuration.engine.pingTimeout + .seconds(10)
    let ticket = held.hold(exchange, for: limit) { $0.respond(.gatewayTimeout) }
    whenGone(exchange) { [relay] in relay.send(.pollGone(address, ticket), to: home) }
    return ticket
  }

  private func whenGone(_ exchange: HTTPExchange, _ then: @escaping () -> Void) {
    exchange.onClose = { [forget = exchange.onClose] in
      forget?()
      then()
    }
  }

  private func poll(_ exchange: HTTPExchange, _ address: EngineAddress, _ home: Int) {
    relay.send(.poll(address, hold(poll: exchange, address, home)), to: home)
  }

  private func post(_ exchange: HTTPExchange, _ address: EngineAddress, _ home: Int) {
    var late: (() -> Void)?
    let ticket = held.hold(exchange, for: .seconds(120)) { exchange in
      late?()
      exchange.refuse(.requestTimeout, "the content did not come in time")
    }
    late = { [relay] in relay.send(.postGone(address, ticket), to: home) }
    whenGone(exchange) { [relay] in relay.send(.postGone(address, ticket), to: home) }
    relay.send(.beginPost(address, ticket), to: home)
    guard !exchange.isFinished else { return }
    exchange.collectBody(limit: configuration.engine.limits.payloadBytes) { [relay, unowned exchange] body in
      guard !relay.send(.endPost(address, ticket, Slice(body)), to: home) else { return }
      exchange.refuse(.serviceUnavailable, "the server is busy; try again")
    }
  }

  private func upgrade(_ exchange: HTTPExchange, _ address: EngineAddress, _ home: Int) {
    guard home == context.loop.index else { return upgradeElsewhere(exchange, address, home) }
    guard let connection = connections[address.sid] else { return refuse(exchange, .unknownSession) }
    let socket = LocalSocket(limit: connection.queueLimit)
    do throws(EngineRefusal) { try connection.attach(socket) } catch {
      return connection.refuseUpgrade(held.hold(exchange, for: .seconds(10)) { Self.respond($0, error) }, error)
    }
    guard let session = exchange.acceptWebSocket(webSocketOptions) else { return connection.socketDidClose(socket) }
    socket.open(session)
  }

  private func upgradeElsewhere(_ exchange: HTTPExchange, _ address: EngineAddress, _ home: Int) {
    let link = relay.makeDoor(to: home, self)
    let ticket = held.hold(exchange, for: configuration.engine.upgradeTimeout) { [relay] exchange in
      relay.abandon(link)
      exchange.respond(.gatewayTimeout)
    }
    whenGone(exchange) { [relay] in relay.abandon(link) }
    relay.send(.attach(address, ticket, link), to: home)
  }

  // MARK: At home

  internal func poll(_ address: EngineAddress, _ ticket: HeldExchange) {
    guard let connection = connections[address.sid] else { return refuse(ticket, .unknownSession) }
    connection.poll(ticket)
  }

  internal func beginPost(_ address: EngineAddress, _ ticket: HeldExchange) {
    guard let connection = connections[address.sid] else { return refuse(ticket, .unknownSession) }
    connection.beginPost(ticket)
  }

  /// - Returns: false when it was refused.
  internal func attach(_ address: EngineAddress, _ ticket: HeldExchange, _ socket: RelayedSocket, _ link: EngineLink) -> Bool {
    guard let connection = connections[address.sid] else {
      Self.refuse(ticket, .unknownSession, link, from: context)
      return false
    }
    do throws(EngineRefusal) { try connection.attach(socket) } catch {
      connection.refuseUpgrade(ticket, error, link)
      return false
    }
    return true
  }

  // MARK: Answers

  internal static let okay = Slice(Array("ok".utf8))

  internal func answer(_ ticket: HeldExchange, _ body: Slice) {
    ticket.answer(from: context) { exchange in
      exchange.respond(.ok, ["Content-Type": "text/plain; charset=UTF-8", "Cache-Control": "no-store"], body)
    }
  }

  private func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal) { Self.refuse(ticket, refusal, nil, from: context) }

  /// - Parameter link: of the WebSocket that this refuses, at the worker of the ticket.
  internal static func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ link: EngineLink?, from context: LoopContext) {
    ticket.answer(from: context) { exchange in
      if let link { exchange.context.service(EngineRelay.self).abandon(link) }
      respond(exchange, refusal)
    }
  }

  private func refuse(_ exchange: HTTPExchange, _ refusal: EngineRefusal) { Self.respond(exchange, refusal) }

  internal static func respond(_ exchange: HTTPExchange, _ refusal: EngineRefusal) {
    exchange.respond(HTTPStatus(refusal.status), json: refusal.json)
  }
}

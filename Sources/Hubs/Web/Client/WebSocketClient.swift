package import MartletCrypto
package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// WebSockets as a client, on one loop: connects, shakes hands, and hands out the same `WebSocketSession` that servers have.
package final class WebSocketClient {
  package struct Request: Sendable {
    /// `ws` or `wss`; `http` and `https` mean the same.
    package var url: URLReference
    package var fields: HTTPFields
    /// Subprotocols, limits, compression and what else both ends set.
    package var options: WebSocketOptions
    /// For the name, TCP and TLS together.
    package var connectTimeout = TimeSpan.seconds(10)
    /// For the server's answer.
    package var handshakeTimeout = TimeSpan.seconds(10)

    package init(_ url: URLReference, _ fields: HTTPFields = [:], options: WebSocketOptions = WebSocketOptions()) {
      self.url = url
      self.fields = fields
      self.options = options
    }
  }

  private let trust: TLSContext.Trust
  private let allows: ((IPAddress) -> Bool)?
  internal let webSockets: WebSocketLoop
  private var tls: TLSContext?

  /// - Parameter allows: asked with each address before it is connected to.
  package init(trust: TLSContext.Trust = .system, allows: ((IPAddress) -> Bool)? = nil, in context: LoopContext) {
    self.trust = trust
    self.allows = allows
    webSockets = WebSocketLoop(in: context)
  }

  /// Opens one. `then` is called once, later, unless the attempt is cancelled; it must set the session's handler before it
  /// returns.
  @discardableResult package func open(
    _ request: Request, then: @escaping (Result<WebSocketSession, HTTPClientError>) -> Void
  ) -> WebSocketOpening {
    let opening = WebSocketOpening(request, self, then)
    var options = Connector.Options()
    options.timeout = request.connectTimeout
    options.allows = allows
    do {
      guard ["ws", "wss", "http", "https"].contains(request.url.scheme) else {
        throw HTTPClientError(.invalid, "\(request.url) is neither ws nor wss")
      }
      if request.url.isSecure { options.tls = try tlsContext() }
      try opening.begin(options, in: webSockets.context)
    } catch {
      let failure = (error as? HTTPClientError) ?? HTTPClientError(.invalid, "\(error)")
      webSockets.context.atEndOfTurn { opening.finish(.failure(failure)) }
    }
    return opening
  }

  private func tlsContext() throws -> TLSContext {
    if let tls { return tls }
    let made = try TLSContext.client(trust, alpn: ["http/1.1"])
    tls = made
    return made
  }
}

/// One attempt to open a WebSocket.
package final class WebSocketOpening: TCPConnectionHandler {
  private let request: WebSocketClient.Request
  private let client: WebSocketClient
  private var then: ((Result<WebSocketSession, HTTPClientError>) -> Void)?
  private var handshake: WebSocketClientHandshake?
  private var connector: Connector?
  private var connection: TCPConnection?
  private var parser = ResponseParser()
  private var timer: SlabID?
  /// `Sec-WebSocket-Extensions` of the server's answer, once it came.
  package private(set) var extensions = ""

  internal init(
    _ request: WebSocketClient.Request, _ client: WebSocketClient, _ then: @escaping (Result<WebSocketSession, HTTPClientError>) -> Void
  ) {
    self.request = request
    self.client = client
    self.then = then
  }

  private static func random(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255) } }

  internal func begin(_ options: Connector.Options, in context: LoopContext) throws {
    handshake = try WebSocketClientHandshake(
      request.url, nonce: Self.random(16), subprotocols: request.options.subprotocols, deflate: request.options.configuration.deflate,
      fields: request.fields)
    connector = Connector(to: request.url.host, port: request.url.effectivePort, options, in: context) { result in
      switch result {
      case .success(let connection): self.connected(connection)
      case .failure(let error): self.finish(.failure(HTTPClientError(error)))
      }
    }
  }

  /// Gives up without calling back.
  package func cancel() {
    then = nil
    tearDown()
  }

  private func connected(_ connection: TCPConnection) {
    connector = nil
    guard let handshake, then != nil else { return connection.close() }
    self.connection = connection
    connection.handler = self
    parser.expect(responseTo: .get)
    connection.write(RequestWriter.head(handshake.request, body: .none))
    timer = connection.context.schedule(after: request.handshakeTimeout) { [weak self] in
      self?.finish(.failure(.init(.timeout, "the server did not answer the WebSocket handshake")))
    }
  }

  package func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    do {
      let taken = try parser.receive(bytes)
      while let event = parser.pollEvent() {
        switch event {
        case .informational: continue
        case .head(let response, _):
          let reason = "the server answered \(response.status) to a WebSocket handshake"
          return finish(.failure(.init(.badResponse, reason, status: response.status.code)))
        case .switched(let response):
          return try switched(connection, response, Array(copying: bytes.extracting(taken..<bytes.byteCount)))
        case .body, .end: continue
        }
      }
    } catch {
      finish(.failure(.init(.badResponse, (error as? HTTPError)?.reason ?? "\(error)")))
    }
  }

  private func switched(_ connection: TCPConnection, _ response: HTTPResponse, _ early: [UInt8]) throws {
    guard let agreement = try handshake?.finish(response) else { return }
    extensions = response.fields.list("Sec-WebSocket-Extensions").joined(separator: ", ")
    let session = WebSocketSession(
      .client(maskSeed: Self.random(32)), on: connection, agreement, request.options, in: client.webSockets)
    self.connection = nil
    connection.handler = session
    session.receiveEarly(early)
    finish(.success(session))
  }

  package func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    finish(.failure(.init(.closed, "\(request.url.authority): \(reason)")))
  }

  package func connectionDidReachEnd(_ connection: TCPConnection) {
    finish(.failure(.init(.closed, "\(request.url.authority) closed the connection in the handshake")))
  }

  internal func finish(_ result: Result<WebSocketSession, HTTPClientError>) {
    let then = exchange(&then, with: nil)
    tearDown()
    then?(result)
  }

  private func tearDown() {
    connector?.cancel()
    connector = nil
    if let timer { client.webSockets.context.cancel(timer) }
    timer = nil
    guard let connection = exchange(&connection, with: nil) else { return }
    connection.handler = nil
    connection.close()
  }
}

internal import MartletCrypto
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// The connections to one origin and the requests that wait for them.
internal final class HTTPClientPool {
  internal let origin: HTTPClient.Origin
  internal let client: HTTPClient
  private var connections: [HTTPClientConnection] = []
  private var connectors: [ObjectIdentifier: AnyObject] = [:]
  private var waiting: [HTTPClientExchange] = []

  internal init(_ origin: HTTPClient.Origin, _ client: HTTPClient) {
    self.origin = origin
    self.client = client
  }

  private var context: LoopContext { client.context }

  /// Requests of one priority keep their order.
  internal func add(_ exchange: HTTPClientExchange) {
    guard waiting.count < client.configuration.waitingPerOrigin else {
      return context.atEndOfTurn { exchange.fail(.init(.overloaded, "too many requests wait for \(exchange.request.url.authority)")) }
    }
    exchange.pool = self
    let index = waiting.firstIndex { $0.request.priority < exchange.request.priority } ?? waiting.count
    waiting.insert(exchange, at: index)
    context.atEndOfTurn { self.serve() }
  }

  internal func remove(_ exchange: HTTPClientExchange) {
    waiting.removeAll { $0 === exchange }
    closeIfEmpty()
  }

  /// Gives waiting requests to idle connections, and opens new ones for the others.
  private func serve() {
    while let first = waiting.first, let idle = connections.last(where: { $0.isIdle && !(first.hasRetried && $0.hasServed) }) {
      waiting.removeFirst()
      idle.begin(first)
    }
    let limit = client.configuration.connectionsPerOrigin
    // A request that must have a new connection may take an idle one's place.
    if connections.count >= limit, waiting.first?.hasRetried == true, let idle = connections.first(where: \.isIdle) { idle.close() }
    while connectors.count < waiting.count, connections.count + connectors.count < limit { open() }
    closeIfEmpty()
  }

  // MARK: Connecting

  private func open() {
    guard let first = waiting.first else { return }
    var options = Connector.Options()
    options.timeout = first.request.timeouts.connect
    options.allows = client.configuration.allows
    var (host, port) = (origin.host, origin.port)
    if let proxy = client.configuration.proxy {
      options.allows = nil
      (host, port) = (proxy.host, proxy.effectivePort)
    } else if origin.isSecure {
      do throws(TLSError) { options.tls = try client.tlsContext() } catch { return failWaiting(.init(.unreachable, "\(error)")) }
    }
    let token = Token()
    let id = ObjectIdentifier(token)
    token.connector = Connector(to: host, port: port, options, in: context) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(let connection): self.connected(connection, id, token, within: options.timeout)
      case .failure(let error):
        self.connectors[id] = nil
        self.failWaiting(HTTPClientError(error))
      }
    }
    connectors[id] = token
  }

  private final class Token { var connector: Connector? }

  private func connected(_ connection: TCPConnection, _ id: ObjectIdentifier, _ token: Token, within limit: TimeSpan) {
    guard let proxy = client.configuration.proxy, origin.isSecure else { return opened(connection, id) }
    do throws(TLSError) {
      let secure = try SecureLayer(try client.tlsContext(), serverName: origin.host)
      HTTPProxyTunnel.begin(to: origin, through: proxy, on: connection, secure, limits: client.configuration.limits, within: limit) {
        [weak self] error in
        guard let self else { return connection.close() }
        if let error {
          self.connectors[id] = nil
          self.failWaiting(error)
        } else {
          self.opened(connection, id)
        }
      }
    } catch {
      connection.handler = nil
      connection.close()
      connectors[id] = nil
      failWaiting(.init(.unreachable, "\(error)"))
    }
  }

  private func opened(_ connection: TCPConnection, _ id: ObjectIdentifier) {
    connectors[id] = nil
    connections.append(HTTPClientConnection(connection, self))
    serve()
  }

  /// The origin cannot be reached: whoever waits hears why, unless connections that work will serve them.
  private func failWaiting(_ error: HTTPClientError) {
    guard connections.isEmpty, connectors.isEmpty else { return }
    for exchange in Swift.exchange(&waiting, with: []) { exchange.fail(error) }
    closeIfEmpty()
  }

  // MARK: From connections

  internal func becameIdle() { serve() }

  internal func didClose(_ connection: HTTPClientConnection) {
    connections.removeAll { $0 === connection }
    context.atEndOfTurn { self.serve() }
  }

  internal func close() {
    for token in connectors.values { (token as? Token)?.connector?.cancel() }
    connectors.removeAll()
    for exchange in Swift.exchange(&waiting, with: []) { exchange.fail(.init(.cancelled, "the client is closed")) }
    for connection in connections { connection.close() }
  }

  private func closeIfEmpty() {
    if connections.isEmpty, connectors.isEmpty, waiting.isEmpty { client.poolIsEmpty(self) }
  }
}

extension HTTPClientError {
  internal init(_ error: ConnectError) {
    let code: Code =
      switch error {
      case .unresolved: .unresolved
      case .forbidden: .forbiddenAddress
      case .failed: .unreachable
      case .timedOut: .timeout
      }
    self.init(code, "\(error)")
  }
}

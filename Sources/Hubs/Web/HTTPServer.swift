package import MartletCrypto
package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// The driver of one client's connection, whatever its version of HTTP.
internal protocol HTTPConnection: TCPConnectionHandler {
  /// No further request is taken; those under way are finished.
  func drain()
}

/// HTTP on one worker: listeners, connections, and the way of a request to its handler.
package final class HTTPServer {
  package struct Configuration: Sendable {
    package var limits = HTTP1Limits()
    package var http2 = HTTP2Limits()
    /// From the first byte of a request to the end of its head.
    package var headTimeout = TimeSpan.seconds(10)
    /// Between two reads of a request's content.
    package var bodyTimeout = TimeSpan.seconds(30)
    /// Without a request.
    package var idleTimeout = TimeSpan.seconds(75)
    package var cors = CORSPolicy(origins: .any)
    package var webSocket = WebSocketConfiguration()
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    package var trustedProxies: [AddressRange] = []
    /// A log line for each response.
    package var accessLog = false
    package init() {}
  }

  internal private(set) var configuration: Configuration
  private var redirectPort: UInt16?
  private let router: Router
  private let context: LoopContext
  private var listeners: [TCPListener] = []
  private var connections: [ObjectIdentifier: any HTTPConnection] = [:]
  internal private(set) var isDraining = false
  /// Who takes connections that begin with a STUN message (a byte below 4, as no request does) or ask for STUN by ALPN (RFC 7443).
  package var foreign: ((TCPConnection, RawSpan) -> Void)?
  /// What endpoints get that bring no options of their own.
  package let webSocketOptions: WebSocketOptions
  package let webSockets: WebSocketLoop
  private var dateSecond: Int64 = -1
  private var dateText = ""
  /// Responses by status class, for the metrics.
  package private(set) var responses: [Int: Int] = [:]

  package init(_ configuration: Configuration, router: Router, in context: LoopContext) {
    self.configuration = configuration
    webSocketOptions = WebSocketOptions(configuration.webSocket)
    webSockets = WebSocketLoop(in: context)
    self.router = router
    self.context = context
  }

  /// - Parameter tls: makes it an HTTPS listener; asked for each connection. HTTP/2 is spoken where its ALPN list offers `h2`.
  /// - Returns: the address with the port that the kernel chose, if 0 was asked for.
  @discardableResult package func listen(
    on address: SocketAddress, tls: (() -> TLSContext)? = nil, census: ConnectionCensus
  ) throws(SystemError) -> SocketAddress {
    let listener = try TCPListener(address, tls: tls, in: context, census: census, refusal: Self.refusal) { [unowned self] connection in
      if connection.applicationProtocol == "h2" {
        self.keep(HTTP2Connection(connection, self), on: connection)
      } else {
        self.keep(HTTP1Connection(connection, self), on: connection)
      }
    }
    listeners.append(listener)
    return listener.address
  }

  /// Takes over what a reload may change.
  package func setCORS(_ policy: CORSPolicy) { configuration.cors = policy }

  /// Answers what comes unencrypted with a redirect to HTTPS on this port.
  package func redirect(toPort port: UInt16?) { redirectPort = port }

  /// - Returns: whether the connection is another's now.
  internal func passOn(_ connection: TCPConnection, from driver: HTTP1Connection, beginningWith bytes: RawSpan) -> Bool {
    let isNamed = connection.applicationProtocol.map { ["stun.turn", "stun.nat-discovery"].contains($0) } ?? false
    guard let foreign, !isDraining, isNamed || bytes.byte(at: 0).map({ $0 < 4 }) ?? false else { return false }
    connections[ObjectIdentifier(driver)] = nil
    foreign(connection, bytes)
    return true
  }

  private func keep(_ driver: some HTTPConnection, on connection: TCPConnection) {
    connections[ObjectIdentifier(driver)] = driver
    connection.handler = driver
  }

  /// What a client reads when there is no room for it, or the server is stopping.
  private static let refusal = Slice(
    Array("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n".utf8))

  /// Closes the listeners, the WebSockets (1001) and, when their responses are complete, the other connections.
  package func drain() {
    isDraining = true
    for listener in listeners { listener.close() }
    listeners.removeAll()
    for connection in Array(connections.values) { connection.drain() }
    webSockets.closeAll(.goingAway, reason: "the server is stopping")
  }

  internal func connectionDidClose(_ connection: any HTTPConnection) { connections[ObjectIdentifier(connection)] = nil }

  internal func handle(_ exchange: HTTPExchange) {
    if !configuration.trustedProxies.isEmpty { exchange.adoptForwarded(trusting: configuration.trustedProxies) }
    if let port = redirectPort, !exchange.isSecure, redirect(exchange, to: port) { return }
    switch configuration.cors.decide(exchange.request) {
    case .preflight(let fields): exchange.respond(.noContent, fields)
    case .proceed(let fields):
      exchange.responseFields = fields
      router.route(exchange)
    }
  }

  /// Health checks are answered as they come: whoever starts servers seldom follows.
  private func redirect(_ exchange: HTTPExchange, to port: UInt16) -> Bool {
    let target = exchange.request.target
    guard !["/healthz", "/readyz"].contains(target.path), let authority = exchange.request.authority else { return false }
    var host = Substring(authority)
    if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") { host = host[..<colon] }
    let location = "https://\(host)\(port == 443 ? "" : ":\(port)")\(target.rawPath)\(target.rawQuery.map { "?" + $0 } ?? "")"
    exchange.respond(.permanentRedirect, ["Location": location])
    return true
  }

  /// A request that was answered before it reached a handler.
  internal func didRefuse(_ status: HTTPStatus) { responses[status.code / 100, default: 0] += 1 }

  internal func didRespond(_ exchange: HTTPExchange) {
    guard let status = exchange.status else { return }
    responses[status.code / 100, default: 0] += 1
    guard configuration.accessLog else { return }
    let milliseconds = Double((context.now - exchange.started).nanoseconds / 10_000) / 100
    context.log(
      .info, "access", "\(exchange.request.method) \(exchange.request.target) \(status.code)",
      ["peer": "\(exchange.remote)", "bytes": "\(exchange.bytesSent)", "ms": "\(milliseconds)"])
  }

  /// The `Date` field, formatted once a second.
  internal func date(_ context: LoopContext) -> String {
    let now = context.wallTime
    if now.milliseconds / 1000 != dateSecond {
      dateSecond = now.milliseconds / 1000
      dateText = HTTPDate.format(now)
    }
    return dateText
  }
}

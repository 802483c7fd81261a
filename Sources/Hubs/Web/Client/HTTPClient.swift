package import MartletCrypto
package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// An HTTP/1.1 client on one loop: a pool of connections for each origin, requests in the order of their priority, bounded
/// redirects, and content that streams both ways with backpressure.
///
///     client.send(HTTPClientRequest(.get, url)) { event in
///       switch event { case .head(let response, _): … case .body(let part): … case .end: … case .failure(let error): … }
///     }
package final class HTTPClient {
  package struct Configuration {
    /// Connections to one origin; RFC 9112 §9.4 asks for few.
    package var connectionsPerOrigin = 6
    /// A connection without a request is kept for this long.
    package var idleTimeout = TimeSpan.seconds(30)
    /// Requests that may wait for a connection to one origin.
    package var waitingPerOrigin = 1000
    package var limits = HTTP1Limits()
    package var trust = TLSContext.Trust.system
    /// `http://[USER:PASSWORD@]HOST:PORT`: requests go through it, those to https by CONNECT.
    package var proxy: URLReference?
    /// Asked with each address before it is connected to: targets that others name must not be private ones. Not asked about
    /// the proxy, which then has to do the same.
    package var allows: ((IPAddress) -> Bool)?
    package var userAgent = "Martlet"

    package init() {}
  }

  internal struct Origin: Hashable {
    let isSecure: Bool
    let host: String
    let port: UInt16

    init(_ url: URLReference) {
      isSecure = url.isSecure
      host = url.host
      port = url.effectivePort
    }
  }

  internal let configuration: Configuration
  internal let context: LoopContext
  private var pools: [Origin: HTTPClientPool] = [:]
  private var tls: TLSContext?
  /// What asynchronous callers wait for.
  internal var tickets: [ObjectIdentifier: HTTPClientExchange] = [:]

  package init(_ configuration: Configuration = .init(), in context: LoopContext) {
    self.configuration = configuration
    self.context = context
  }

  /// Events come later, never from inside this call.
  @discardableResult package func send(
    _ request: HTTPClientRequest, _ handler: @escaping (HTTPClientEvent) -> Void
  ) -> HTTPClientExchange {
    let exchange = HTTPClientExchange(request, self, handler)
    dispatch(exchange)
    return exchange
  }

  /// Puts the exchange's request into its origin's queue: the first one, or what a redirect made of it.
  internal func dispatch(_ exchange: HTTPClientExchange) {
    let url = exchange.request.url
    guard url.scheme == "http" || url.scheme == "https" else {
      return context.atEndOfTurn { exchange.fail(.init(.invalid, "\(url) is neither http nor https")) }
    }
    let origin = Origin(url)
    if let pool = pools[origin] { return pool.add(exchange) }
    let pool = HTTPClientPool(origin, self)
    pools[origin] = pool
    pool.add(exchange)
  }

  /// By the time it says so, another pool may have begun in its place.
  internal func poolIsEmpty(_ pool: HTTPClientPool) {
    if pools[pool.origin] === pool { pools[pool.origin] = nil }
  }

  /// Made when the first https request comes: reading the system's authorities takes milliseconds.
  internal func tlsContext() throws(TLSError) -> TLSContext {
    if let tls { return tls }
    let made = try TLSContext.client(configuration.trust, alpn: ["http/1.1"])
    tls = made
    return made
  }

  /// Closes idle connections and fails what is under way.
  package func close() {
    for pool in Array(pools.values) { pool.close() }
  }
}

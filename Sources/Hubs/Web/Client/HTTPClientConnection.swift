internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// One connection of a pool: one request after the other, without pipelining, since one slow response would hold up the rest.
internal final class HTTPClientConnection: TCPConnectionHandler {
  private let connection: TCPConnection
  private let pool: HTTPClientPool
  private var parser: ResponseParser
  private var current: HTTPClientExchange?
  internal private(set) var hasServed = false
  /// A byte of the current response has come, so the server has seen the request.
  private var sawResponse = false
  private var isChunked = false
  /// Bytes of a streamed body that are owed, when its length was announced.
  private var owed: Int?
  private var requestEnded = false
  private var keepsAlive = true
  private var timer: SlabID?

  internal init(_ connection: TCPConnection, _ pool: HTTPClientPool) {
    self.connection = connection
    self.pool = pool
    parser = ResponseParser(limits: pool.client.configuration.limits)
    connection.handler = self
    watchIdle()
  }

  private var context: LoopContext { connection.context }
  internal var isIdle: Bool { current == nil && connection.isOpen && keepsAlive }

  // MARK: The request

  internal func begin(_ exchange: HTTPClientExchange) {
    current = exchange
    (sawResponse, requestEnded, isChunked, owed) = (false, false, false, nil)
    let request = exchange.request
    let length = request.bodyLength
    do throws(HTTPError) {
      connection.write(RequestWriter.head(try head(request), body: length))
    } catch {
      current = nil
      exchange.fail(.init(.invalid, "\(error)"))
      return pool.becameIdle()
    }
    parser.expect(responseTo: request.method)
    switch request.body {
    case .bytes(let bytes): connection.write(bytes)
    case .stream:
      isChunked = length == .chunked
      if case .length(let count) = length { owed = count }
      watch()
      return exchange.didBegin(on: self)
    case .none: break
    }
    requestEnded = true
    watch()
    exchange.didBegin(on: self)
  }

  private func head(_ request: HTTPClientRequest) throws(HTTPError) -> HTTPRequest {
    let configuration = pool.client.configuration
    let url = request.url
    // RFC 9112 §3.2.2: a proxy gets the absolute form; through a tunnel it is the origin that reads.
    let goesToProxy = configuration.proxy != nil && !url.isSecure
    let target = try HTTPTarget(goesToProxy ? url.serialized : url.requestTarget, authority: url.authority)
    var fields = request.fields
    if !fields.contains("User-Agent") { fields.append("User-Agent", configuration.userAgent) }
    if !fields.contains("Accept") { fields.append("Accept", "*/*") }
    if !fields.contains("Authorization"), let credentials = url.basicCredentials { fields.append("Authorization", credentials) }
    if goesToProxy, let credentials = configuration.proxy?.basicCredentials { fields.append("Proxy-Authorization", credentials) }
    return HTTPRequest(method: request.method, target: target, fields: fields)
  }

  internal func write(_ bytes: Slice) -> Bool {
    guard !requestEnded, !bytes.isEmpty else { return !requestEnded }
    if let left = owed {
      guard bytes.count <= left else {
        current?.fail(.init(.invalid, "more content than the announced length"))
        return false
      }
      owed = left - bytes.count
    }
    if isChunked { connection.write(HTTP1.chunkStart(bytes.count)) }
    let keepsUp = connection.write(bytes)
    if isChunked { return connection.write(HTTP1.chunkEnd) && keepsUp }
    return keepsUp
  }

  internal func finishBody() {
    guard !requestEnded else { return }
    if let owed, owed > 0 { current?.fail(.init(.invalid, "the content ends \(owed) bytes before the announced length")); return }
    if isChunked { connection.write(HTTP1.lastChunk) }
    requestEnded = true
  }

  internal func pause(_ paused: Bool) { if paused { connection.pauseReading() } else { connection.resumeReading() } }

  /// Whoever asked has gone: the rest of the response is not waited for.
  internal func abandon(_ exchange: HTTPClientExchange) {
    guard current === exchange else { return }
    current = nil
    close()
  }

  internal func close() {
    keepsAlive = false
    connection.close()
  }

  // MARK: The response

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    // Nobody asked: often 408 from a server that gives an idle connection up.
    guard current != nil else { return close() }
    sawResponse = true
    var failure: HTTPError?
    do throws(HTTPError) {
      if try parser.receive(bytes) < bytes.byteCount { keepsAlive = false }
    } catch { failure = error }
    drain()
    if let failure { fail(.init(.badResponse, "\(failure.reason)")) }
  }

  private func drain() {
    while connection.isOpen, let exchange = current, let event = parser.pollEvent() {
      switch event {
      case .informational: break
      case .head(let response, let body):
        keepsAlive = keepsAlive && response.isKeepAlive && body != .untilClose
        exchange.receiveHead(response)
      case .body(let bytes): if !exchange.receiveBody(bytes) { keepsAlive = false; skipRest(of: exchange) }
      case .end(let trailers): finish(exchange, trailers)
      case .switched: fail(.init(.badResponse, "the server changed to a protocol that nobody asked for"))
      }
    }
  }

  /// The content of a redirect is too long to read: it goes on without it.
  private func skipRest(of exchange: HTTPClientExchange) { finish(exchange, [:]) }

  private func finish(_ exchange: HTTPClientExchange, _ trailers: HTTPFields) {
    current = nil
    hasServed = true
    cancelTimer()
    if keepsAlive, requestEnded {
      connection.resumeReading()
      watchIdle()
    } else {
      close()
    }
    exchange.receiveEnd(trailers)
    pool.becameIdle()
  }

  private func fail(_ error: HTTPClientError) {
    keepsAlive = false
    let exchange = Swift.exchange(&current, with: nil)
    connection.close()
    exchange?.connection = nil
    exchange?.fail(error)
  }

  internal func connectionIsWritable(_ connection: TCPConnection) {
    guard !requestEnded else { return }
    current?.onWritable?()
  }

  internal func connectionDidReachEnd(_ connection: TCPConnection) {
    guard current != nil else { return close() }
    var failure: HTTPError?
    do throws(HTTPError) { try parser.receiveEnd() } catch { failure = error }
    keepsAlive = false
    drain()
    guard current != nil else { return close() }
    lost(failure?.reason ?? "the server closed the connection")
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    keepsAlive = false
    cancelTimer()
    lost("\(reason)")
    pool.didClose(self)
  }

  /// RFC 9112 §9.3.1: a connection that had been idle may have been closed as the request was on its way.
  private func lost(_ reason: String) {
    guard let exchange = Swift.exchange(&current, with: nil) else { return }
    connection.close()
    exchange.connection = nil
    guard hasServed, !sawResponse, !exchange.hasRetried, exchange.request.isRepeatable, !exchange.isFinished else {
      return exchange.fail(.init(.closed, "\(exchange.request.url.authority): \(reason)"))
    }
    exchange.hasRetried = true
    pool.add(exchange)
  }

  // MARK: Timeouts

  private func cancelTimer() {
    if let timer { context.cancel(timer) }
    timer = nil
  }

  /// While a request is under way something must move; a caller that pauses or has nothing to send yet is not the server's
  /// fault, and its own `total` ends it.
  private func watch() {
    cancelTimer()
    guard let limit = current?.request.timeouts.firstByte else { return }
    let begun = context.now
    armWatch(limit, from: begun)
  }

  private func armWatch(_ limit: TimeSpan, from begun: Instant) {
    let last = max(begun, max(connection.lastRead, connection.lastWrite))
    timer = context.schedule(at: last + limit) { [weak self] in
      guard let self, let exchange = self.current else { return }
      let last = max(begun, max(self.connection.lastRead, self.connection.lastWrite))
      let waitsForUs = exchange.isHeldBack || !self.requestEnded && self.connection.bufferedBytes == 0
      guard self.context.now - last >= limit, !waitsForUs else { return self.armWatch(limit, from: self.context.now) }
      self.fail(.init(.timeout, "\(exchange.request.url.authority) sent nothing for \(limit.seconds) s"))
    }
  }

  private func watchIdle() {
    cancelTimer()
    timer = context.schedule(after: pool.client.configuration.idleTimeout) { [weak self] in
      guard let self, self.current == nil else { return }
      self.close()
    }
  }
}

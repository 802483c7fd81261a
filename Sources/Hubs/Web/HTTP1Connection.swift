internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// One HTTP/1.1 client: reads requests one after the other and answers them in order.
///
/// A pipelined request waits, as bytes, until the response before it is complete. Every wait has a limit: a head must come
/// within `headTimeout`, content must move, and an idle connection is closed without a word, as RFC 9112 §9.5 has it.
internal final class HTTP1Connection: HTTPConnection, ExchangeTransport {
  private let connection: TCPConnection
  private let server: HTTPServer
  private var parser: RequestParser
  private var exchange: HTTPExchange?
  private var writer: ResponseWriter?
  /// Bytes behind the request that is being answered.
  private var waiting: [UInt8] = []
  private var requestEnded = false
  private var responseEnded = false
  private var sawEnd = false
  private var isDispatching = false
  private var hasBegun = false
  private var idleTimer: SlabID?
  private var headTimer: SlabID?
  private static let waitingLimit = 64 * 1024
  private var bodyLength = HTTPBodyLength.none
  /// Content that nobody wants is read up to this many bytes so that the connection can go on; else it is closed.
  private static let discardLimit = 64 * 1024

  internal init(_ connection: TCPConnection, _ server: HTTPServer) {
    self.connection = connection
    self.server = server
    parser = RequestParser(limits: server.configuration.limits)
    watchIdle()
  }

  private var context: LoopContext { connection.context }

  // MARK: Reading

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    if !hasBegun {
      hasBegun = true
      if server.passOn(connection, from: self, beginningWith: bytes) { return stopTimers() }
    }
    guard waiting.isEmpty, exchange == nil || !requestEnded else {
      waiting.append(bytes)
      if waiting.count > Self.waitingLimit { connection.pauseReading() }
      return
    }
    consume(bytes)
    serveWaiting()
  }

  /// Feeds one message's bytes; what is left over waits.
  private func consume(_ bytes: RawSpan) {
    do throws(HTTPError) {
      let count = try parser.receive(bytes)
      if count < bytes.byteCount { waiting.append(bytes.extracting(count..<bytes.byteCount)) }
    } catch {
      deliver()
      return refuse(error)
    }
    deliver()
    watchHead()
  }

  private func deliver() {
    while connection.isOpen, let event = parser.pollEvent() {
      switch event {
      case .head(let request, let body): begin(request, body)
      case .body(let bytes): if !responseEnded { exchange?.didReceiveBody(bytes) }
      case .end:
        requestEnded = true
        exchange?.didEndBody()
        finishExchange()
      }
    }
  }

  /// Goes on with pipelined requests, as long as each is answered at once.
  private func serveWaiting() {
    guard !isDispatching else { return }
    isDispatching = true
    defer { isDispatching = false }
    while connection.isOpen, exchange == nil, !waiting.isEmpty {
      let bytes = takeWaiting()
      connection.resumeReading()
      consume(bytes.span.bytes)
    }
    if exchange == nil, sawEnd { connection.closeAfterFlush() }
  }

  private func takeWaiting() -> [UInt8] {
    defer { waiting = [] }
    return waiting
  }

  private func begin(_ request: HTTPRequest, _ body: HTTPBodyLength) {
    cancelHeadTimer()
    writer = ResponseWriter(respondingTo: request)
    if server.isDraining { writer?.closesConnection = true }
    requestEnded = false
    responseEnded = false
    bodyLength = body
    let exchange = HTTPExchange(request, body: body, on: self, in: context)
    self.exchange = exchange
    server.handle(exchange)
  }

  /// Both halves are done: the next request may be read.
  private func finishExchange() {
    guard responseEnded, let writer else { return }
    if writer.closesConnection || !requestEnded && !isContentShort {
      exchange = nil
      return connection.closeAfterFlush()
    }
    // A handler may have held the content back to its end.
    connection.resumeReading()
    guard requestEnded else { return }
    exchange = nil
    self.writer = nil
    serveWaiting()
  }

  /// RFC 9112 §9.6: a response that will not wait for the request's content says that it is the last one.
  private func announceCloseIfContentIsUnwanted() {
    guard !requestEnded, let exchange, !exchange.takesBody else { return }
    if !isContentShort || bodyLength != .none && exchange.request.expectsContinue { writer?.closesConnection = true }
  }

  /// Worth reading although nobody wants it. Content without a length may never end.
  private var isContentShort: Bool {
    switch bodyLength {
    case .none: true
    case .length(let count): count <= Self.discardLimit
    default: false
    }
  }

  private func refuse(_ error: HTTPError) {
    context.log(.info, "http", "\(error)", ["peer": "\(connection.remote)"])
    let hasAnswered = exchange?.status != nil
    exchange?.didClose()
    exchange = nil
    // Behind a response that has begun, another one would be taken for its content.
    if !hasAnswered {
      var writer = ResponseWriter(refusing: error)
      let text = Slice(Array("\(error.reason)\n".utf8))
      let response = HTTPResponse(error.status, ["Content-Type": "text/plain; charset=utf-8"])
      connection.write(writer.head(response, body: .length(text.count), date: server.date(context)))
      connection.write(text)
    }
    connection.closeAfterFlush()
  }

  internal func connectionDidReachEnd(_ connection: TCPConnection) {
    sawEnd = true
    guard let exchange else { return connection.closeAfterFlush() }
    // Whoever shuts its side down while a stream comes has left; a client that waits for one answer may still read it.
    if connection.source != nil || !requestEnded {
      exchange.didClose()
      connection.close(.peer)
    }
  }

  internal func connectionIsWritable(_ connection: TCPConnection) { exchange?.becameWritable() }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    stopTimers()
    exchange?.didClose()
    exchange = nil
    server.connectionDidClose(self)
  }

  /// No further request is read; the one under way is finished.
  internal func drain() {
    writer?.closesConnection = true
    if exchange == nil { connection.closeAfterFlush() }
  }

  // MARK: Timeouts

  private func watchHead() {
    guard exchange == nil, !parser.isIdle, connection.isOpen else { return }
    guard headTimer == nil else { return }
    headTimer = context.schedule(after: server.configuration.headTimeout) { [weak self] in
      guard let self, self.exchange == nil else { return }
      self.refuse(HTTPError(.requestTimeout, "the request was not complete in time"))
    }
  }

  private func stopTimers() {
    if let idleTimer { context.cancel(idleTimer) }
    cancelHeadTimer()
  }

  private func cancelHeadTimer() {
    if let timer = headTimer { context.cancel(timer) }
    headTimer = nil
  }

  private func watchIdle() {
    let limit = exchange != nil && !requestEnded ? server.configuration.bodyTimeout : server.configuration.idleTimeout
    let last = max(connection.lastRead, connection.lastWrite)
    idleTimer = context.schedule(at: last + limit) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      let quiet = self.context.now - max(self.connection.lastRead, self.connection.lastWrite)
      if self.exchange == nil, quiet >= self.server.configuration.idleTimeout { return self.connection.close() }
      if let exchange = self.exchange, !self.requestEnded, quiet >= self.server.configuration.bodyTimeout {
        if self.responseEnded { return self.connection.close() }
        if exchange.status == nil { exchange.refuse(.requestTimeout, "the content stopped coming") } else { exchange.abort() }
        return
      }
      self.watchIdle()
    }
  }

  // MARK: ExchangeTransport

  internal var remote: SocketAddress { connection.remote }
  internal var isSecure: Bool { connection.isSecure }
  internal var sink: any OutputSink { connection }

  internal func sendHead(_ response: HTTPResponse, body: HTTPBodyLength) {
    announceCloseIfContentIsUnwanted()
    guard let bytes = writer?.head(response, body: body, date: server.date(context)) else { return }
    connection.write(bytes)
  }

  internal func sendBody(_ bytes: Slice) -> Bool {
    guard let writer, writer.sendsBody, !bytes.isEmpty else { return true }
    if writer.isChunked { connection.write(HTTP1.chunkStart(bytes.count)) }
    let keepsUp = connection.write(bytes)
    if writer.isChunked { return connection.write(HTTP1.chunkEnd) && keepsUp }
    return keepsUp
  }

  internal func finishResponse() {
    guard let writer else { return }
    if writer.isChunked { connection.write(HTTP1.lastChunk) }
    responseEnded = true
    if let exchange { server.didRespond(exchange) }
    finishExchange()
  }

  internal func abort() {
    responseEnded = true
    connection.close()
  }

  internal func acceptBody() {
    if let exchange, exchange.request.expectsContinue, exchange.status == nil { connection.write(HTTP1.continueResponse) }
  }

  internal func pauseBody(_ paused: Bool) { if paused { connection.pauseReading() } else { connection.resumeReading() } }

  internal var host: HTTPServer? { server }

  internal func upgrade(
    _ head: HTTPResponse, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions
  ) -> WebSocketSession? {
    guard connection.isOpen, let bytes = writer?.head(head, body: .none, date: server.date(context)) else { return nil }
    connection.write(bytes)
    stopTimers()
    if let exchange { server.didRespond(exchange) }
    server.connectionDidClose(self)
    let session = WebSocketSession(.server, on: connection, agreement, options, in: server.webSockets)
    connection.handler = session
    exchange = nil
    session.receiveEarly(takeWaiting())
    connection.resumeReading()
    if sawEnd { session.didReachEnd() }
    return session
  }
}

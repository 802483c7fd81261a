internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// One request and its response on an HTTP/2 connection: what carries the exchange, and where a live source is pulled to.
internal final class HTTP2Stream: ExchangeTransport, BytePipe {
  internal let id: HTTP2Session.StreamID
  internal var exchange: HTTPExchange?
  internal var source: (any OutputSource)? { didSet { if source != nil { setNeedsFlush() } } }
  internal private(set) var lastWrite: Instant
  internal private(set) var lastRead: Instant
  internal let context: LoopContext
  /// Once it is one (RFC 8441).
  private var webSocket: WebSocketSession?

  /// `nil` when the stream is gone.
  private var connection: HTTP2Connection?
  internal let remote: SocketAddress
  internal let isSecure: Bool
  private let isHead: Bool
  private let expectsContinue: Bool
  private var requestEnded = false
  /// Nothing may follow the head.
  private var endedWithHead = false
  private var isFinishing = false
  private var isPaused = false
  /// Content delivered while the handler wanted a pause: the peer's window stays closed by as much.
  private var unconsumed = 0
  private var written = 0
  /// What the peer had taken at the last look, and when it last took or sent anything.
  private var taken = 0
  private var lastProgress: Instant

  internal init(_ id: HTTP2Session.StreamID, _ request: HTTPRequest, _ connection: HTTP2Connection) {
    self.id = id
    self.connection = connection
    context = connection.context
    remote = connection.connection.remote
    isSecure = connection.connection.isSecure
    isHead = request.method == .head
    expectsContinue = request.fields.contains("Expect", token: "100-continue")
    lastWrite = connection.context.now
    lastRead = lastWrite
    lastProgress = lastWrite
  }

  // MARK: From the connection

  internal func receive(_ bytes: Slice) {
    guard let connection else { return }
    lastProgress = connection.context.now
    lastRead = lastProgress
    unconsumed += bytes.count
    // What comes behind the end of a WebSocket is read and dropped, so that the connection's window stays open.
    if isFinishing { return webSocket == nil ? () : consume() }
    if let webSocket { webSocket.receive(bytes.bytes) } else { exchange?.didReceiveBody(bytes) }
    if !isPaused { consume() }
  }

  internal func receiveEnd() {
    requestEnded = true
    exchange?.didEndBody()
    webSocket?.didReachEnd()
  }

  internal func becameWritable() {
    exchange?.becameWritable()
    webSocket?.becameWritable()
  }

  /// The stream is gone, complete or not.
  internal func end() {
    connection = nil
    source = nil
    Swift.exchange(&exchange, with: nil)?.didClose()
    Swift.exchange(&webSocket, with: nil)?.didClose("closed by the peer")
  }

  internal func didPull(_ count: Int) {
    written += count
    if let connection { lastWrite = connection.context.now }
  }

  /// The source has nothing more for now, or at all.
  internal func sourceIsDry() {
    guard isFinishing else { return }
    source = nil
    connection?.session.end(id)
  }

  /// Resets a stream on which one side waits for the other for too long.
  internal func checkProgress() {
    guard let connection else { return }
    let now = connection.context.now
    let queued = connection.session.queued(id)
    if written - queued != taken {
      taken = written - queued
      lastProgress = now
    }
    guard now - lastProgress >= connection.server.configuration.bodyTimeout else { return }
    if queued > 0 { return abort() }
    guard !requestEnded, !isPaused, let exchange else { return }
    if exchange.status == nil { exchange.refuse(.requestTimeout, "the content stopped coming") } else { exchange.abort() }
  }

  private func consume() {
    guard unconsumed > 0 else { return }
    connection?.session.consume(id, unconsumed)
    unconsumed = 0
    setNeedsFlush()
  }

  // MARK: ExchangeTransport

  internal var sink: any OutputSink { self }

  internal func sendHead(_ response: HTTPResponse, body: HTTPBodyLength) {
    guard let connection else { return }
    var response = response
    if !response.fields.contains("Date") { response.fields.append("Date", connection.server.date(connection.context)) }
    response.fields.remove("Content-Length")
    if !response.status.neverHasBody {
      switch body {
      case .none: response.fields.append("Content-Length", "0")
      case .length(let count): response.fields.append("Content-Length", "\(count)")
      case .chunked, .untilClose: break
      }
    }
    endedWithHead = isHead || response.status.neverHasBody || body == .none || body == .length(0)
    connection.session.respond(id, response, ends: endedWithHead)
    setNeedsFlush()
  }

  internal func sendBody(_ bytes: Slice) -> Bool {
    guard let connection, !endedWithHead else { return true }
    written += bytes.count
    setNeedsFlush()
    return connection.session.write(id, bytes)
  }

  internal func finishResponse() {
    if let exchange { connection?.server.didRespond(exchange) }
    exchange = nil
    isFinishing = true
    if source == nil, !endedWithHead { connection?.session.end(id) }
    setNeedsFlush()
    if !requestEnded { stopUpload() }
  }

  /// RFC 9113 §8.1: NO_ERROR behind a complete response asks the client to stop sending. Clients that are still sending when
  /// it comes take it for a failure and lose the response (curl 7.88), so they get a moment to read, their window closed.
  private func stopUpload() {
    connection?.context.schedule(after: .seconds(1)) { [weak self] in
      guard let self, let session = self.connection?.session, !self.requestEnded else { return }
      guard self.source == nil, session.queued(self.id) == 0 else { return self.stopUpload() }
      session.reset(self.id, .noError)
      self.setNeedsFlush()
    }
  }

  internal func abort() {
    source = nil
    connection?.session.reset(id)
    setNeedsFlush()
  }

  internal func acceptBody() {
    guard expectsContinue, let exchange, exchange.status == nil else { return }
    connection?.session.respond(id, HTTPResponse(.continue), ends: false)
    setNeedsFlush()
  }

  internal func pauseBody(_ paused: Bool) {
    isPaused = paused
    if !paused, !isFinishing { consume() }
  }

  internal var host: HTTPServer? { connection?.server }

  internal func upgrade(
    _ head: HTTPResponse, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions
  ) -> WebSocketSession? {
    guard let connection else { return nil }
    connection.session.respond(id, head, ends: false)
    if let exchange { connection.server.didRespond(exchange) }
    exchange = nil
    let session = WebSocketSession(.server, on: self, agreement, options, in: connection.server.webSockets)
    webSocket = session
    setNeedsFlush()
    if requestEnded { session.didReachEnd() }
    return session
  }

  // MARK: OutputSink

  internal func setNeedsFlush() { connection?.setNeedsFlush() }
  internal func boundKernelOutput() { connection?.connection.boundKernelOutput() }
}

/// One stream as a WebSocket's byte pipe.
extension HTTP2Stream {
  internal var isOpen: Bool { connection != nil && !isFinishing }
  internal var bufferedBytes: Int { connection?.session.queued(id) ?? 0 }

  internal func write(_ bytes: Slice) -> Bool {
    guard let connection, !isFinishing else { return false }
    pullRestOfMessage()
    written += bytes.count
    setNeedsFlush()
    return connection.session.write(id, bytes)
  }

  /// The source was cut short by what a stream may run ahead: the rest goes before anything else.
  private func pullRestOfMessage() {
    let scratch = IOVector()
    while let connection, let source, source.isMidMessage {
      scratch.removeAll()
      source.gather(into: scratch, .restOfMessage)
      let bytes = scratch.copy(atMost: .max)
      guard !bytes.isEmpty else { return }
      source.advance(by: bytes.count)
      didPull(bytes.count)
      connection.session.write(id, Slice(bytes))
    }
  }

  internal func notifyWhenWritable() { connection?.session.notifyWhenWritable(id) }
  internal func pauseReading() { pauseBody(true) }
  internal func resumeReading() { pauseBody(false) }

  internal func finishSource() {
    pullRestOfMessage()
    source = nil
  }

  internal func closeAfterFlush() {
    guard isOpen else { return }
    isFinishing = true
    connection?.session.end(id)
    consume()
    setNeedsFlush()
    context.schedule(after: .seconds(10)) { [weak self] in self?.close() }
  }

  internal func close() {
    guard let connection else { return }
    connection.session.reset(id)
    connection.setNeedsFlush()
    connection.forget(id)
    end()
  }
}

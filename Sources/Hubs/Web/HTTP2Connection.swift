internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives

/// One HTTP/2 client: many exchanges at once over one connection.
///
/// The connection pulls: when its socket takes more, `gather` first lets live sources fill their streams, as far as a stream
/// may run ahead, and then takes frames from the session, which keeps to the peer's windows. So nothing is encoded for a peer
/// that does not read, and lag stays in the sources, where it can be skipped. Events that come up meanwhile are acted on at
/// the end of the turn, never from inside the write.
internal final class HTTP2Connection: HTTPConnection, OutputSource {
  internal let connection: TCPConnection
  internal let server: HTTPServer
  internal let session: HTTP2Session
  private var streams: [HTTP2Session.StreamID: HTTP2Stream] = [:]
  /// Frames that the socket has not taken yet.
  private var output = Slice()
  private var outputOffset = 0
  private let scratch = IOVector()
  private var isSettleScheduled = false
  private var isDraining = false
  private var isClosing = false
  private var timer: SlabID?
  /// Since when a header list has been incomplete.
  private var headBegan: Instant?

  /// Bytes that a live stream may have waiting for the peer's window.
  private static let ahead = 64 * 1024

  internal init(_ connection: TCPConnection, _ server: HTTPServer) {
    self.connection = connection
    self.server = server
    session = HTTP2Session(.server, limits: server.configuration.http2)
    connection.source = self
    watch()
    if server.isDraining { drain() }
  }

  internal var context: LoopContext { connection.context }

  // MARK: TCPConnectionHandler

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    guard !isClosing else { return }
    var failure: HTTP2Error?
    do throws(HTTP2Error) { try session.receive(bytes, now: context.now) } catch { failure = error }
    settle()
    guard let failure else { return }
    context.log(.info, "http", "HTTP/2: \(failure)", ["peer": "\(connection.remote)"])
    finish()
  }

  internal func connectionDidReachEnd(_ connection: TCPConnection) { finish() }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    if let timer { context.cancel(timer) }
    endStreams()
    server.connectionDidClose(self)
  }

  // MARK: Events

  private func settleLater() {
    guard !isSettleScheduled else { return }
    isSettleScheduled = true
    context.atEndOfTurn { [weak self] in
      guard let self else { return }
      self.isSettleScheduled = false
      self.settle()
    }
  }

  private func settle() {
    while connection.isOpen, let event = session.pollEvent() { handle(event) }
    guard connection.isOpen else { return }
    if outputOffset >= output.count, session.isFinished { return connection.closeAfterFlush() }
    connection.setNeedsFlush()
  }

  private func handle(_ event: HTTP2Session.Event) {
    switch event {
    case .request(let id, let request, let body): begin(id, request, body)
    case .refused(_, let error):
      context.log(.info, "http", "\(error)", ["peer": "\(connection.remote)"])
      server.didRefuse(error.status)
    case .data(let id, let bytes): streams[id]?.receive(bytes)
    case .end(let id, _): streams[id]?.receiveEnd()
    case .writable(let id): streams[id]?.becameWritable()
    case .finished(let id), .reset(let id, _): streams.removeValue(forKey: id)?.end()
    case .goAway, .response: break
    }
  }

  private func begin(_ id: HTTP2Session.StreamID, _ request: HTTPRequest, _ body: HTTPBodyLength) {
    let stream = HTTP2Stream(id, request, self)
    streams[id] = stream
    var request = request
    let isWebSocket = request.connectProtocol?.lowercased() == "websocket"
    // RFC 8441 §5: what the handshake of HTTP/1.1 says by GET; handlers see the same.
    if isWebSocket { request.method = .get }
    let exchange = HTTPExchange(request, body: body, on: stream, in: context)
    stream.exchange = exchange
    guard request.method != .connect else { return exchange.refuse(501, "of tunnels only WebSockets are served") }
    server.handle(exchange)
  }

  // MARK: OutputSource

  /// Nothing but this source writes to the connection, so no message can be broken into.
  internal var isMidMessage: Bool { false }
  internal var hasMore: Bool { outputOffset < output.count }

  internal func gather(into vector: IOVector, _ scope: GatherScope) {
    if outputOffset >= output.count {
      if !isClosing { for stream in streams.values where stream.source != nil { pull(stream) } }
      output = Slice(session.takeOutput())
      outputOffset = 0
      if session.hasEvents { settleLater() }
    }
    vector.append(output, from: outputOffset)
  }

  internal func advance(by count: Int) {
    outputOffset += count
    guard outputOffset >= output.count else { return }
    (output, outputOffset) = (Slice(), 0)
    if session.isFinished { settleLater() }
  }

  /// Moves what a source has into its stream, up to the bound.
  private func pull(_ stream: HTTP2Stream) {
    while let source = stream.source, session.queued(stream.id) < Self.ahead {
      scratch.removeAll()
      source.gather(into: scratch, .all)
      let bytes = scratch.copy(atMost: Self.ahead)
      guard !bytes.isEmpty else { return stream.sourceIsDry() }
      source.advance(by: bytes.count)
      stream.didPull(bytes.count)
      session.write(stream.id, Slice(bytes))
    }
  }

  /// A stream that was reset here; its end comes later and means nothing.
  internal func forget(_ id: HTTP2Session.StreamID) { streams[id] = nil }

  internal func setNeedsFlush() { connection.setNeedsFlush() }

  // MARK: Ending

  /// RFC 9113 §6.8: first a notice, and a round trip later the number of the last request that was taken.
  internal func drain() {
    guard !isDraining else { return }
    isDraining = true
    session.announceShutdown()
    setNeedsFlush()
    context.schedule(after: streams.isEmpty ? .milliseconds(100) : .seconds(1)) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      self.session.shutDown()
      self.settle()
    }
  }

  /// Sends what the session still has to say and closes.
  private func finish() {
    guard !isClosing else { return }
    isClosing = true
    endStreams()
    connection.closeAfterFlush()
  }

  private func endStreams() {
    for stream in Swift.exchange(&streams, with: [:]).values { stream.end() }
  }

  // MARK: Timeouts

  /// One look at everything that must not stand still, a few times within the shortest limit.
  private func watch() {
    let limits = server.configuration
    let period = max(
      .milliseconds(50), TimeSpan(nanoseconds: min(limits.idleTimeout, limits.bodyTimeout, limits.headTimeout).nanoseconds / 3))
    timer = context.schedule(after: period) { [weak self] in
      guard let self, self.connection.isOpen, !self.isClosing else { return }
      if let reason = self.expiry() {
        self.context.log(.info, "http", reason, ["peer": "\(self.connection.remote)"])
        self.session.shutDown()
        self.finish()
      } else {
        for stream in Array(self.streams.values) { stream.checkProgress() }
        self.settle()
        self.watch()
      }
    }
  }

  /// Why the connection has to go, if it has.
  private func expiry() -> String? {
    let now = context.now
    if session.openStreams > streams.count {
      let began = headBegan ?? now
      headBegan = began
      return now - began >= server.configuration.headTimeout ? "HTTP/2: a header list was not complete in time" : nil
    }
    headBegan = nil
    let quiet = now - max(connection.lastRead, connection.lastWrite)
    return streams.isEmpty && quiet >= server.configuration.idleTimeout ? "HTTP/2: idle" : nil
  }
}

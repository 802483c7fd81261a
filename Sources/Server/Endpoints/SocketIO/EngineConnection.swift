internal import MartletHTTP
package import MartletIO
package import MartletPrimitives
package import MartletSocketIO
internal import MartletWeb

/// What a session's owner hears. Calls come on the session's loop, never from inside one of the connection's own methods.
package protocol EngineConnectionHandler: AnyObject {
  func engine(_ connection: EngineConnection, didReceive message: Slice, isBinary: Bool)
  /// The last call.
  func engineDidClose(_ connection: EngineConnection, _ reason: EngineCloseReason)
  /// Little waits for the client again, after `keepsUp` was false.
  func engineIsWritable(_ connection: EngineConnection)
  /// When `engineTimeout` is wanted.
  var engineDeadline: Instant? { get }
  func engineTimeout(_ connection: EngineConnection, now: Instant)
}

/// The driver of one Engine.IO session, on the session's home worker.
package final class EngineConnection {
  /// What the request that opened the session said about who asks; an application changes action and resource.
  package let opening: AccessRequest
  /// The fields of that request.
  package let fields: EngineOpeningFields
  package let context: LoopContext
  internal var handler: (any EngineConnectionHandler)?
  internal let queueLimit: Int

  private var session: EngineSession
  private let endpoint: EngineEndpoint
  private var pendingPoll: HeldExchange?
  private var activePost: HeldExchange?
  private var socket: (any EngineSocket)?
  private var isSettling = false, isSettleScheduled = false
  private var owesWritable = false
  private var timer: SlabID?
  private var armedFor = Instant.distantFuture

  internal init(
    _ sid: String, _ transport: EngineTransport, opening: AccessRequest, fields: EngineOpeningFields, _ endpoint: EngineEndpoint
  ) {
    self.opening = opening
    self.fields = fields
    self.endpoint = endpoint
    context = endpoint.context
    queueLimit = endpoint.configuration.engine.limits.queuedBytes
    session = EngineSession(sid: sid, endpoint.configuration.engine, transport: transport, now: context.now)
  }

  package var sid: String { session.sid }
  package var transport: EngineTransport { session.transport }
  package var isClosed: Bool { session.isClosed }

  /// The request that opened the session is its first poll.
  internal func start(answering ticket: HeldExchange) {
    pendingPoll = ticket
    settle()
  }

  internal func start(over socket: some EngineSocket) {
    self.socket = socket
    socket.connection = self
    settle()
  }

  // MARK: For the owner

  private static let highWater = 256 << 10, lowWater = 64 << 10

  /// Bytes that wait for the client.
  package var bufferedBytes: Int { session.queuedBytes + (socket?.bufferedBytes ?? 0) }

  /// When false, whoever has more than a few messages to send waits for `engineIsWritable`; beyond the limit of the queue the
  /// session is closed.
  package var keepsUp: Bool {
    guard !owesWritable else { return false }
    owesWritable = bufferedBytes > Self.highWater
    return !owesWritable
  }

  internal func becameWritable() {
    if bufferedBytes < Self.lowWater { tellWritable() }
  }

  private func tellWritable() {
    guard owesWritable else { return }
    owesWritable = false
    context.atEndOfTurn { [weak self] in
      guard let self else { return }
      self.handler?.engineIsWritable(self)
    }
  }

  package func send(_ message: EngineMessage) {
    if session.sendsFramesAtOnce, let socket {
      if !socket.write(message.frame) { session.fail(.overflow) } else { return }
    } else {
      session.send(message)
    }
    settleLater()
  }

  package func close() {
    session.close(now: context.now)
    settleLater()
  }

  /// The client sent what cannot be understood.
  package func fail(_ reason: EngineCloseReason) {
    session.fail(reason)
    settleLater()
  }

  /// Looks at the handler's deadline again.
  package func deadlineDidChange() { settleLater() }

  // MARK: Requests, by ticket: their exchange may be on another worker

  internal func poll(_ ticket: HeldExchange) {
    catchUp()
    do throws(EngineRefusal) { try session.poll() } catch {
      settle()
      return refuse(ticket, error)
    }
    pendingPoll = ticket
    settle()
  }

  internal func pollGone(_ ticket: HeldExchange) {
    guard pendingPoll == ticket else { return }
    pendingPoll = nil
    session.pollAborted()
    settle()
  }

  internal func beginPost(_ ticket: HeldExchange) {
    catchUp()
    do throws(EngineRefusal) { try session.beginPost() } catch {
      settle()
      return refuse(ticket, error)
    }
    activePost = ticket
  }

  internal func endPost(_ ticket: HeldExchange, _ body: Slice) {
    guard activePost == ticket else { return }
    activePost = nil
    do throws(EngineRefusal) {
      try session.endPost(body, now: context.now)
      endpoint.answer(ticket, EngineEndpoint.okay)
    } catch { refuse(ticket, error) }
    settle()
  }

  internal func postGone(_ ticket: HeldExchange) {
    guard activePost == ticket else { return }
    activePost = nil
    session.abortPost()
    settle()
  }

  /// - Parameter link: of the WebSocket that this refuses.
  internal func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ link: EngineLink? = nil) {
    if let socket { return socket.refuse(ticket, refusal, link) }
    EngineEndpoint.refuse(ticket, refusal, link, from: context)
  }

  /// While another WebSocket is about to take over, which may be known here a moment later than to the client, the answer waits:
  /// it must not come before what that one is told.
  internal func refuseUpgrade(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ link: EngineLink? = nil) {
    guard socket != nil, transport == .polling else { return refuse(ticket, refusal, link) }
    context.schedule(after: .milliseconds(100)) { [self] in refuse(ticket, refusal, link) }
  }

  /// A timer may be a moment late; who comes behind the deadline is late all the same.
  private func catchUp() { session.timeout(now: context.now) }

  // MARK: WebSocket

  /// A WebSocket asks to take over from polling.
  internal func attach(_ socket: some EngineSocket) throws(EngineRefusal) {
    try session.attachSocket(now: context.now)
    self.socket = socket
    socket.connection = self
    settle()
  }

  internal func socket(_ socket: some EngineSocket, didReceive data: Slice, isBinary: Bool) {
    guard self.socket === socket else { return }
    session.receive(data, isBinary: isBinary, now: context.now)
    // Together with what else comes in this turn.
    settleLater()
  }

  internal func socketDidClose(_ socket: some EngineSocket) {
    guard self.socket === socket else { return }
    self.socket = nil
    session.socketDidClose()
    settle()
  }

  // MARK: Settling

  private func settleLater() {
    guard !isSettling, !isSettleScheduled else { return }
    isSettleScheduled = true
    context.atEndOfTurn { [weak self] in
      self?.isSettleScheduled = false
      self?.settle()
    }
  }

  /// Hands out what happened, then what is to be sent: what an event's handler sends goes with the rest.
  private func settle() {
    guard !isSettling else { return }
    isSettling = true
    var reason: EngineCloseReason?
    var hasMore = true
    while hasMore {
      hasMore = false
      while let event = session.pollEvent() {
        hasMore = true
        switch event {
        case .message(let data, let isBinary): handler?.engine(self, didReceive: data, isBinary: isBinary)
        // What waited for a poll goes to the WebSocket, which counts for itself.
        case .upgraded: tellWritable()
        case .closed(let why):
          reason = why
          exchange(&handler, with: nil)?.engineDidClose(self, why)
        }
      }
      while let output = session.pollOutput() {
        hasMore = true
        perform(output, isOverflow: reason == .overflow)
      }
    }
    isSettling = false
    if session.isClosed { end() } else { arm() }
  }

  private func perform(_ output: EngineSession.Output, isOverflow: Bool) {
    switch output {
    case .answerPoll(let body):
      if let ticket = exchange(&pendingPoll, with: nil) { endpoint.answer(ticket, body) }
      becameWritable()
    case .refusePoll(let refusal):
      if let ticket = exchange(&pendingPoll, with: nil) { refuse(ticket, refusal) }
    case .frame(let frame):
      if socket?.write(frame) == false { session.fail(.overflow) }
    case .closeSocket: exchange(&socket, with: nil)?.close(abruptly: isOverflow)
    }
  }

  private func end() {
    if let timer { context.cancel(timer) }
    timer = nil
    armedFor = .distantFuture
    endpoint.remove(self)
  }

  /// One timer, armed again only for something earlier.
  private func arm() {
    var deadline = session.deadline ?? .distantFuture
    if let other = handler?.engineDeadline { deadline = min(deadline, other) }
    guard deadline < armedFor else { return }
    if let timer { context.cancel(timer) }
    armedFor = deadline
    timer = context.schedule(at: deadline) { [weak self] in self?.timeout() }
  }

  private func timeout() {
    armedFor = .distantFuture
    timer = nil
    let now = context.now
    session.timeout(now: now)
    handler?.engineTimeout(self, now: now)
    settle()
  }
}

/// The header fields of the request that opened a session.
package struct EngineOpeningFields: Sendable {
  internal let fields: HTTPFields
  package subscript(name: String) -> String? { fields.first(name) }
}

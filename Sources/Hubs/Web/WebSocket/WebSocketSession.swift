package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// What a WebSocket's owner hears. Never called from inside one of the session's methods, except `webSocketDidClose` by
/// `abort`.
package protocol WebSocketHandler: AnyObject {
  func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice)
  /// Less is buffered again after `send` answered false.
  func webSocketIsWritable(_ session: WebSocketSession)
  /// The last call. `.abnormal` when the connection broke without a Close.
  func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String)
}

extension WebSocketHandler {
  package func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {}
  package func webSocketIsWritable(_ session: WebSocketSession) {}
}

/// One end of a WebSocket on a loop, server's or client's: the machine between a byte pipe and an owner.
///
/// It is kept small: what only some sessions need hangs on `rare`, and its timer, compressors and lists are the loop's
/// (`WebSocketLoop`).
package final class WebSocketSession {
  private final class Rare {
    /// Why it closes, once somebody said so.
    var ending: (code: WebSocketCloseCode, reason: String)?
    /// What came before the owner could be told.
    var early: [UInt8] = []
  }

  /// Set it at once after the handshake; messages that came with the handshake arrive at the end of the turn.
  package var handler: (any WebSocketHandler)?
  package let options: WebSocketOptions
  private let pipe: any BytePipe
  private let home: WebSocketLoop
  private var machine: WebSocketMachine
  private var rare: Rare?
  /// Where the loop lists it.
  internal var place: UInt32 = 0
  private let chosen: UInt16
  private var isReceiving = false, isPinged = false, isPaused = false, isAwaited = false, isEnded = false

  internal init(
    _ role: WebSocketMachine.Role, on pipe: any BytePipe, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions,
    in home: WebSocketLoop
  ) {
    self.pipe = pipe
    self.options = options
    self.home = home
    let configuration = options.configuration
    let isServer = if case .server = role { true } else { false }
    machine = WebSocketMachine(
      role, limits: configuration.limits,
      compression: agreement.deflate.map { MessageCompression($0, configuration.deflate, isServer: isServer, pool: home.pool) })
    let index = agreement.subprotocol.flatMap { options.subprotocols.firstIndex(of: $0) }
    chosen = index.flatMap { UInt16(exactly: $0) } ?? .max
    home.add(self)
  }

  package var context: LoopContext { home.context }
  package var remote: SocketAddress { pipe.remote }
  /// What the handshake agreed on.
  package var subprotocol: String? { Int(chosen) < options.subprotocols.count ? options.subprotocols[Int(chosen)] : nil }
  /// Messages may be sent.
  package var isOpen: Bool { machine.isOpen && pipe.isOpen }
  /// Both Close frames went.
  package var isCleanlyClosed: Bool { machine.isCleanlyClosed }
  /// The peer broke the protocol.
  package var hasFailed: Bool { machine.hasFailed }
  /// Bytes that wait for the peer to read.
  package var bufferedAmount: Int { pipe.bufferedBytes + machine.outputBytes }
  /// The compressed form of a `WebSocketImage` may be sent here.
  package var usesDeflate: Bool { machine.takesCompressedImages }
  /// Where an `OutputSource` of whole frames is pulled from; pings and the like go between its messages.
  package var sink: any OutputSink { pipe }

  /// Pulls frames from `source` whenever the peer takes more, until the session closes.
  package func attach(_ source: any OutputSource) {
    guard isOpen else { return }
    pipe.boundKernelOutput()
    pipe.source = source
  }

  /// Stops reading, which makes the peer wait; what was read already is still handed up.
  package func pauseReading() {
    isPaused = true
    pipe.pauseReading()
  }

  package func resumeReading() {
    isPaused = false
    pipe.resumeReading()
  }

  // MARK: Sending

  /// Shorter payloads are copied behind their header; longer ones are sent from where they are.
  private static let copied = 4096
  private static let gathered = 64 * 1024

  /// Sends one message, compressed if that was agreed on and is worth it.
  ///
  /// - Returns: false when the peer does not keep up: stop until `webSocketIsWritable`. Whoever goes on beyond the limit of the
  ///   queue has the session closed with 1013.
  @discardableResult package func send(_ kind: WebSocketMachine.MessageKind, _ payload: Slice) -> Bool {
    guard hasRoom() else { return false }
    let packed = machine.compress(kind, payload.bytes).map { Slice($0) }
    let bytes = packed ?? payload
    if bytes.count <= Self.copied || machine.isClient {
      if packed == nil { machine.queue(kind, bytes.bytes) } else { machine.queue(kind, packed: bytes.bytes) }
      // What is sent while a read is handled leaves in one write, unless it is much.
      return isReceiving && machine.outputBytes < Self.gathered ? !isAwaited : flush()
    }
    flush()
    pipe.write(Slice(WebSocketFrame.header(kind.opcode, length: bytes.count, compressed: packed != nil)))
    return note(pipe.write(bytes))
  }

  /// Sends a message that was framed for many, without a copy. For servers' sessions.
  @discardableResult package func send(_ image: WebSocketImage) -> Bool {
    guard hasRoom(), !machine.isClient else { return false }
    flush()
    return note(pipe.write(image.bytes(compressed: machine.takesCompressedImages)))
  }

  package func send(_ images: [WebSocketImage]) -> Bool { images.reduce(true) { send($1) && $0 } }

  private func hasRoom() -> Bool {
    guard isOpen else { return false }
    guard pipe.bufferedBytes > options.configuration.queue else { return true }
    close(.tryAgainLater, reason: "\(options.configuration.queue) bytes wait and are not read")
    return false
  }

  private func note(_ keepsUp: Bool) -> Bool {
    if !keepsUp { isAwaited = true }
    return keepsUp
  }

  @discardableResult private func flush() -> Bool {
    guard machine.hasOutput else { return !isAwaited }
    return note(pipe.write(Slice(machine.takeOutput())))
  }

  package func ping(_ payload: [UInt8] = []) {
    machine.ping(payload)
    flush()
  }

  // MARK: Closing

  private func held() -> Rare {
    if let rare { return rare }
    let made = Rare()
    rare = made
    return made
  }

  private func end(_ code: WebSocketCloseCode, _ reason: String) {
    let rare = held()
    if rare.ending == nil { rare.ending = (code, reason) }
  }

  /// Begins the closing handshake. A message of which a part has left is completed; of a source nothing else is sent. When
  /// the peer has not answered in `closeTimeout` the connection is cut.
  package func close(_ code: WebSocketCloseCode = .normal, reason: String = "") {
    guard machine.isOpen else { return }
    end(code, reason)
    machine.close(code, reason: reason)
    pipe.finishSource()
    if !isReceiving { flush() }
    awaitEnd()
  }

  /// Cuts the connection.
  package func abort(_ reason: String = "closed by the server") {
    end(.abnormal, reason)
    pipe.close()
  }

  private func awaitEnd() {
    guard !isEnded else { return }
    isEnded = true
    // The time runs from when the Close leaves: a worker that is held up must not cut before it has said so.
    context.atEndOfTurn { [weak self] in
      guard let self, self.pipe.isOpen else { return }
      self.context.schedule(after: self.options.configuration.closeTimeout) { [weak self] in self?.pipe.close() }
    }
  }

  // MARK: From the pipe

  /// Bytes that came with the handshake, before there was an owner.
  internal func receiveEarly(_ bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    let rare = held()
    rare.early += bytes
    guard rare.early.count == bytes.count else { return }
    context.atEndOfTurn { [weak self] in
      guard let self, self.pipe.isOpen, let early = self.rare.map({ exchange(&$0.early, with: []) }) else { return }
      if self.rare?.ending == nil { self.rare = nil }
      self.receive(early.span.bytes)
    }
  }

  internal func receive(_ bytes: RawSpan) {
    if let rare, !rare.early.isEmpty { return rare.early.append(bytes) }
    var events = home.takeEvents()
    var failure: WebSocketError?
    var offset = 0
    isReceiving = true
    while offset < bytes.byteCount, pipe.isOpen, failure == nil {
      do throws(WebSocketError) {
        offset += try machine.receive(bytes.extracting(offset..<bytes.byteCount), into: &events)
      } catch { failure = error }
      handUp(events)
      events.removeAll(keepingCapacity: true)
    }
    isReceiving = false
    home.giveBack(&events)
    settle(failure)
  }

  private func handUp(_ events: [WebSocketMachine.Event]) {
    for event in events where pipe.isOpen {
      switch event {
      case .message(let kind, let payload): handler?.webSocket(self, didReceive: kind, payload)
      case .ping, .pong: break
      case .closed(let code, let reason): end(code, reason)
      }
    }
  }

  private static let pongRoom = 64 * 1024

  private func settle(_ failure: WebSocketError?) {
    if let failure {
      end(failure.code, failure.reason)
      context.log(.info, "websocket", "\(failure)", ["peer": "\(remote)"])
    }
    if machine.isClosed { pipe.finishSource() }
    // A peer that does not read gets its pongs when it does: the machine keeps the last few.
    if machine.isClosed || machine.hasUrgentOutput || pipe.bufferedBytes < Self.pongRoom {
      flush()
    } else if machine.hasOutput {
      pipe.notifyWhenWritable()
    }
    guard machine.isClosed else { return }
    // §7.1.1: the server closes first; a client that has failed the connection need not wait.
    if machine.isClient, failure == nil { awaitEnd() } else { pipe.closeAfterFlush() }
  }

  internal func didReachEnd() {
    pipe.finishSource()
    pipe.closeAfterFlush()
  }

  internal func becameWritable() {
    flush()
    guard isAwaited else { return }
    isAwaited = false
    handler?.webSocketIsWritable(self)
  }

  internal func didClose(_ reason: String) {
    home.remove(self)
    let (code, text) = rare?.ending ?? (.abnormal, reason)
    exchange(&handler, with: nil)?.webSocketDidClose(self, code, text)
  }

  /// Pings a quiet peer and cuts off one that is gone.
  internal func check(_ now: Instant) {
    let configuration = options.configuration
    // While nobody reads here, the peer shows that it lives by taking bytes.
    let last = isPaused ? max(pipe.lastRead, pipe.lastWrite) : pipe.lastRead
    let quiet = now - last
    if configuration.idle > .zero, quiet >= configuration.idle { return abort("nothing came for \(quiet.seconds) s") }
    guard configuration.ping > .zero, quiet >= configuration.ping else { return isPinged = false }
    guard !isPinged else { return }
    isPinged = true
    ping()
  }
}

extension WebSocketSession: TCPConnectionHandler {
  package func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) { receive(bytes) }
  package func connectionDidReachEnd(_ connection: TCPConnection) { didReachEnd() }
  package func connectionIsWritable(_ connection: TCPConnection) { becameWritable() }
  package func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) { didClose("\(reason)") }
}

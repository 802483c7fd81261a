package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// What a WebSocket's owner hears.
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

/// A server's end of one WebSocket: the machine, the connection, and the pings that find out when the peer is gone.
package final class WebSocketSession: TCPConnectionHandler {
  package struct Timeouts: Sendable {
    /// Quiet for this long: a ping is sent.
    package var ping = TimeSpan.seconds(25)
    /// Quiet for this long, pings unanswered: closed.
    package var idle = TimeSpan.seconds(60)
    package init() {}
  }

  /// Set it at once after the handshake; messages that came with the handshake arrive at the end of the turn.
  package var handler: (any WebSocketHandler)?
  package let connection: TCPConnection
  private var machine = WebSocketMachine(.server)
  private let timeouts: Timeouts
  private var timer: SlabID?
  private var closing: (WebSocketCloseCode, String)?

  internal init(_ connection: TCPConnection, timeouts: Timeouts = Timeouts()) {
    self.connection = connection
    self.timeouts = timeouts
    watch()
  }

  package var context: LoopContext { connection.context }
  package var remote: SocketAddress { connection.remote }

  /// - Returns: false when the peer does not keep up.
  @discardableResult package func send(_ kind: WebSocketMachine.MessageKind, _ payload: Slice) -> Bool {
    machine.send(kind, payload.bytes)
    return flush()
  }

  package func close(_ code: WebSocketCloseCode = .normal, reason: String = "") {
    guard machine.isOpen else { return }
    closing = (code, reason)
    machine.close(code, reason: reason)
    connection.source = nil
    flush()
    // The peer owes an answer; it gets a few seconds.
    context.schedule(after: .seconds(3)) { [weak self] in self?.connection.closeAfterFlush() }
  }

  internal func receiveEarly(_ bytes: [UInt8]) {
    context.atEndOfTurn { [weak self] in
      guard let self, self.connection.isOpen else { return }
      self.connection(self.connection, didReceive: bytes.span.bytes)
    }
  }

  package func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    var failure: WebSocketError?
    do throws(WebSocketError) { try machine.receive(bytes) } catch { failure = error }
    while let event = machine.pollEvent() {
      switch event {
      case .message(let kind, let payload): handler?.webSocket(self, didReceive: kind, payload)
      case .ping, .pong: break
      case .closed(let code, let reason): closing = closing ?? (code, reason)
      }
    }
    if let failure { closing = (failure.code, failure.reason) }
    flush()
    if machine.isClosed { connection.closeAfterFlush() }
  }

  @discardableResult private func flush() -> Bool {
    let output = machine.takeOutput()
    return output.isEmpty ? true : connection.write(output)
  }

  package func connectionIsWritable(_ connection: TCPConnection) { handler?.webSocketIsWritable(self) }

  package func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    if let timer { context.cancel(timer) }
    let (code, text) = closing ?? (.abnormal, "\(reason)")
    exchange(&handler, with: nil)?.webSocketDidClose(self, code, text)
  }

  private func watch() {
    timer = context.schedule(at: connection.lastRead + timeouts.ping) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      let quiet = self.context.now - self.connection.lastRead
      if quiet >= self.timeouts.idle { return self.connection.close() }
      if quiet >= self.timeouts.ping {
        self.machine.ping()
        self.flush()
        self.timer = self.context.schedule(after: self.timeouts.idle - self.timeouts.ping) { [weak self] in self?.watchAgain() }
      } else {
        self.watch()
      }
    }
  }

  private func watchAgain() {
    if context.now - connection.lastRead >= timeouts.idle { connection.close() } else { watch() }
  }
}

internal import MartletIO
internal import MartletPrimitives
internal import MartletSocketIO

/// The driver of one Socket.IO session over an Engine.IO session.
internal final class SocketIOConnection: EngineConnectionHandler {
  internal private(set) weak var engine: EngineConnection?
  private let endpoint: SocketIOEndpoint
  private var session: SocketIOSession
  private var sockets: [String: SocketIOSocket] = [:]
  private var waiting: [UInt64: (SocketIOAnswer?) -> Void] = [:]
  private var isSettling = false

  internal init(_ engine: EngineConnection, _ endpoint: SocketIOEndpoint) {
    self.engine = engine
    self.endpoint = endpoint
    session = SocketIOSession(
      limits: endpoint.configuration.limits, connectTimeout: endpoint.configuration.connectTimeout, now: engine.context.now)
  }

  // MARK: From the engine

  internal func engine(_ connection: EngineConnection, didReceive message: Slice, isBinary: Bool) {
    do throws(ParseError) { try session.receive(message, isBinary: isBinary) } catch {
      connection.context.log(.info, "socketio", "\(error)", ["peer": "\(connection.opening.remote)"])
      connection.fail(.parseError)
    }
    settle()
  }

  internal func engineDidClose(_ connection: EngineConnection, _ reason: EngineCloseReason) {
    engine = nil
    for socket in exchange(&sockets, with: [:]).values { end(socket, reason.rawValue) }
    for (_, then) in exchange(&waiting, with: [:]) { then(nil) }
  }

  internal func engineIsWritable(_ connection: EngineConnection) {
    for socket in Array(sockets.values) where socket.isConnected { endpoint.application?.socketIsWritable(socket) }
  }

  internal var engineDeadline: Instant? { session.deadline }

  internal func engineTimeout(_ connection: EngineConnection, now: Instant) {
    session.timeout(now: now)
    settle()
  }

  private func settle() {
    guard !isSettling else { return }
    isSettling = true
    repeat {
      flush()
      guard let event = session.pollEvent() else { break }
      deliver(event)
    } while true
    isSettling = false
  }

  private func flush() { while let message = session.pollOutput() { engine?.send(message) } }

  private func deliver(_ event: SocketIOSession.Event) {
    switch event {
    case .connecting(let namespace, let auth, let recovery):
      let socket = SocketIOSocket(self, namespace, auth: auth, recovery: recovery, endpoint.rooms)
      sockets[namespace] = socket
      endpoint.application?.socketIsConnecting(socket)
    case .event(let namespace, let event):
      if let socket = sockets[namespace] { endpoint.application?.socket(socket, didReceive: event) }
    case .acknowledged(let id, let answer): waiting.removeValue(forKey: id)?(answer)
    case .unacknowledged(let id): waiting.removeValue(forKey: id)?(nil)
    case .disconnected(let namespace):
      if let socket = sockets.removeValue(forKey: namespace) { end(socket, "client namespace disconnect") }
    case .expired: engine?.fail(.forcedClose)
    }
  }

  private func end(_ socket: SocketIOSocket, _ reason: String) {
    socket.didLeave()
    endpoint.application?.socketDidDisconnect(socket, reason)
  }

  // MARK: From the sockets

  internal func accept(_ socket: SocketIOSocket, pid: String?) {
    session.accept(socket.namespace, sid: socket.id, pid: pid)
    flush()
  }

  internal func refuse(_ socket: SocketIOSocket, _ message: String, _ data: JSON?) {
    guard !socket.isConnected, sockets[socket.namespace] === socket else { return }
    sockets[socket.namespace] = nil
    session.refuse(socket.namespace, message: message, data: data)
    flush()
  }

  internal func emit(_ event: SocketIOEvent, in namespace: String) {
    session.emit(event, in: namespace)
    flush()
  }

  internal func emit(_ event: SocketIOEvent, in namespace: String, timeout: TimeSpan, then: @escaping (SocketIOAnswer?) -> Void) {
    let deadline = endpoint.context.now + timeout
    guard let id = session.emit(event, in: namespace, acknowledgeBy: deadline) else {
      return endpoint.context.atEndOfTurn { then(nil) }
    }
    waiting[id] = then
    flush()
    engine?.deadlineDidChange()
  }

  internal func acknowledge(_ id: UInt64, _ answer: SocketIOAnswer, in namespace: String) {
    session.acknowledge(id, answer, in: namespace)
    flush()
  }

  /// Nothing of the session's own ever waits, so what was encoded before goes past it.
  internal func send(_ wire: [EngineMessage], in namespace: String) {
    guard session.isConnected(to: namespace), let engine else { return }
    for message in wire { engine.send(message) }
  }

  internal func disconnect(_ socket: SocketIOSocket, closing: Bool) {
    guard sockets[socket.namespace] === socket else { return }
    guard !closing else {
      for (namespace, socket) in exchange(&sockets, with: [:]) {
        session.disconnect(namespace)
        end(socket, "server namespace disconnect")
      }
      flush()
      engine?.close()
      return
    }
    sockets[socket.namespace] = nil
    session.disconnect(socket.namespace)
    end(socket, "server namespace disconnect")
    flush()
    // What waited for the client's answers hears that none will come.
    endpoint.context.atEndOfTurn { [weak self] in self?.settle() }
  }
}

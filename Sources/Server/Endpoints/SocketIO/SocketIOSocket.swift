package import MartletIO
package import MartletPrimitives
package import MartletSocketIO

/// One client in one namespace: what an application talks to. It lives on its session's worker and is of no use after
/// `socketDidDisconnect`.
package final class SocketIOSocket {
  /// The public name, which the client knows too.
  package private(set) var id: String
  package let namespace: String
  /// What the client sent with its request to connect; an object, empty when it sent nothing.
  package let auth: JSON
  /// It had a connection before and wants it back.
  package let recovery: SocketIORecovery?
  /// The application's own.
  package var state: AnyObject?
  package private(set) var isConnected = false
  package private(set) var rooms: Set<String> = []
  private weak var connection: SocketIOConnection?
  private let directory: SocketIORooms

  internal init(
    _ connection: SocketIOConnection, _ namespace: String, auth: JSON, recovery: SocketIORecovery?, _ directory: SocketIORooms
  ) {
    id = Self.newID()
    self.connection = connection
    self.namespace = namespace
    self.auth = auth
    self.recovery = recovery
    self.directory = directory
  }

  /// 15 random bytes, as a name of its own: that of the session is a secret.
  package static func newID() -> String { Base64.encode((0..<15).map { _ in UInt8.random(in: 0...255) }, .url) }

  package var context: LoopContext { directory.context }
  /// The session's connection: who asked, over which transport; `nil` when it is over.
  package var engine: EngineConnection? { connection?.engine }

  /// When false, whoever has more than a few messages to send waits for `socketIsWritable`; beyond `socketio.queue` the
  /// session is closed.
  package var keepsUp: Bool { engine?.keepsUp ?? true }

  /// Lets the client in.
  /// - Parameters:
  ///   - id: the name it had, when a connection is recovered.
  ///   - pid: a private name with which it may recover this connection; the last argument of each event it is then sent must be
  ///     a text, the event's offset.
  package func accept(id: String? = nil, pid: String? = nil) {
    guard !isConnected, let connection else { return }
    if let id { self.id = id }
    isConnected = true
    directory.enter(self)
    connection.accept(self, pid: pid)
  }

  package func refuse(_ message: String, data: JSON? = nil) { connection?.refuse(self, message, data) }

  package func emit(_ name: String, _ arguments: [JSON] = [], attachments: [Slice] = []) {
    connection?.emit(SocketIOEvent(name, arguments, attachments: attachments), in: namespace)
  }

  /// - Parameter then: called once: with the answer, or with nothing when it does not come.
  package func emit(
    _ name: String, _ arguments: [JSON] = [], attachments: [Slice] = [], timeout: TimeSpan,
    then: @escaping (SocketIOAnswer?) -> Void
  ) {
    guard let connection else { return directory.context.atEndOfTurn { then(nil) } }
    connection.emit(SocketIOEvent(name, arguments, attachments: attachments), in: namespace, timeout: timeout, then: then)
  }

  /// Answers an event that asked for it; without a question it does nothing.
  package func acknowledge(_ event: SocketIOEvent, _ arguments: [JSON] = [], attachments: [Slice] = []) {
    guard let id = event.id else { return }
    connection?.acknowledge(id, SocketIOAnswer(arguments, attachments: attachments), in: namespace)
  }

  /// A packet of this namespace that was encoded for many.
  package func send(_ wire: [EngineMessage]) { connection?.send(wire, in: namespace) }

  package func join(_ room: String) {
    guard isConnected, rooms.insert(room).inserted else { return }
    directory.join(self, room)
  }

  package func leave(_ room: String) {
    guard rooms.remove(room) != nil else { return }
    directory.leave(self, room)
  }

  /// Puts the client out; it does not come back by itself.
  /// - Parameter closing: ends its whole session, the other namespaces too.
  package func disconnect(closing: Bool = false) { connection?.disconnect(self, closing: closing) }

  internal func didLeave() {
    connection = nil
    guard isConnected else { return }
    isConnected = false
    for room in rooms { directory.leave(self, room) }
    rooms = []
    directory.exit(self)
  }
}

internal import MartletPrimitives
internal import MartletSocketIO
package import MartletWeb

/// What the official protocol suites expect of a server, under `/diag`: off by default.
///
/// `/diag/engine.io/` echoes messages; `/diag/socket.io/` answers the events that the Socket.IO suite names.
package final class SocketIODiagnosis {
  private let engine: EngineEndpoint
  private let socketIO: SocketIOEndpoint
  private let application = SuiteApplication()

  /// - Parameter configuration: that of the real endpoint; only the path differs.
  package init(
    _ configuration: SocketIOConfiguration, webSocket: WebSocketConfiguration, relay: EngineRelay, held: HeldExchanges
  ) {
    var configuration = configuration
    configuration.path = "/diag/engine.io"
    engine = EngineEndpoint(configuration, webSocket: webSocket, relay: relay, held: held) { _ in EngineEcho() }
    configuration.path = "/diag/socket.io"
    socketIO = SocketIOEndpoint(configuration, webSocket: webSocket, relay: relay, held: held)
    socketIO.application = application
    application.rooms = socketIO.rooms
  }

  package func add(to router: Router) {
    engine.add(to: router)
    socketIO.add(to: router)
  }

  package func drain() {
    engine.drain()
    socketIO.drain()
  }
}

private final class EngineEcho: EngineConnectionHandler {
  func engine(_ connection: EngineConnection, didReceive message: Slice, isBinary: Bool) {
    connection.send(isBinary ? EngineMessage(binary: message.bytes) : EngineMessage(.message, message.bytes))
  }
  func engineDidClose(_ connection: EngineConnection, _ reason: EngineCloseReason) {}
  func engineIsWritable(_ connection: EngineConnection) {}
  var engineDeadline: Instant? { nil }
  func engineTimeout(_ connection: EngineConnection, now: Instant) {}
}

/// The suite's server, and a few events more for tests with real clients: rooms, and acknowledgements asked of the client.
private final class SuiteApplication: SocketIOApplication {
  var rooms: SocketIORooms?

  func socketIsConnecting(_ socket: SocketIOSocket) {
    guard ["/", "/custom"].contains(socket.namespace) else { return socket.refuse("Invalid namespace") }
    socket.accept()
    socket.emit("auth", [socket.auth])
  }

  func socket(_ socket: SocketIOSocket, didReceive event: SocketIOEvent) {
    switch event.name {
    case "message": socket.emit("message-back", event.arguments, attachments: event.attachments)
    case "message-with-ack": socket.acknowledge(event, event.arguments, attachments: event.attachments)
    case "ask":
      socket.emit("question", event.arguments, attachments: event.attachments, timeout: .milliseconds(500)) { [unowned socket] answer in
        socket.emit("answered", answer?.arguments ?? ["timeout"], attachments: answer?.attachments ?? [])
      }
    case "flood": flood(socket, event.arguments.first?.intValue ?? 0)
    case "join":
      for room in event.arguments.compactMap(\.stringValue) { socket.join(room) }
      socket.acknowledge(event)
    case "leave":
      for room in event.arguments.compactMap(\.stringValue) { socket.leave(room) }
      socket.acknowledge(event)
    case "broadcast":
      guard let room = event.arguments.first?.stringValue else { return }
      let news = SocketIOEvent("news", Array(event.arguments.dropFirst()), attachments: event.attachments)
      rooms?.broadcast(news, in: socket.namespace, to: room, except: socket.id)
      socket.acknowledge(event)
    case "leave-me": socket.disconnect()
    case "close-me": socket.disconnect(closing: true)
    default: break
    }
  }

  /// As many events as were asked for, no faster than they are taken.
  private func flood(_ socket: SocketIOSocket, _ count: Int64) {
    socket.state = Flood(left: min(max(0, count), 1_000_000))
    socketIsWritable(socket)
  }

  func socketIsWritable(_ socket: SocketIOSocket) {
    guard let flood = socket.state as? Flood else { return }
    while flood.left > 0, socket.keepsUp {
      flood.left -= 1
      socket.emit("drop", [.int(flood.left), .string(Flood.filling)])
    }
  }

  func socketDidDisconnect(_ socket: SocketIOSocket, _ reason: String) {}
}

private final class Flood {
  static let filling = String(repeating: "x", count: 1000)
  var left: Int64
  init(left: Int64) { self.left = left }
}

package import MartletIO
internal import MartletPrimitives
package import MartletSocketIO
package import MartletWeb

/// Socket.IO at one path, on one worker: sessions, rooms, and the application behind them.
package final class SocketIOEndpoint {
  package let configuration: SocketIOConfiguration
  package let rooms: SocketIORooms
  package let context: LoopContext
  /// Set before the first connection.
  package var application: (any SocketIOApplication)?
  private let engine: EngineEndpoint

  package init(
    _ configuration: SocketIOConfiguration, webSocket: WebSocketConfiguration, relay: EngineRelay, held: HeldExchanges
  ) {
    self.configuration = configuration
    context = relay.context
    let later = Later()
    engine = EngineEndpoint(configuration, webSocket: webSocket, relay: relay, held: held) { connection in
      guard let endpoint = later.endpoint else { preconditionFailure("a session opens after its endpoint is made") }
      return SocketIOConnection(connection, endpoint)
    }
    rooms = SocketIORooms(engine.path, relay)
    later.endpoint = self
  }

  private final class Later { weak var endpoint: SocketIOEndpoint? }

  package func add(to router: Router) { engine.add(to: router) }

  /// Sessions of this worker by transport, for the metrics.
  package var sessions: [EngineTransport: Int] {
    engine.sessions.reduce(into: [:]) { counts, session in counts[session.transport, default: 0] += 1 }
  }

  /// Clients are told to come again.
  package func drain() { engine.drain() }
}

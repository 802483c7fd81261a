internal import MartletEndpoints
internal import MartletIO
internal import MartletMessages
internal import MartletSocketIO
internal import MartletWeb

/// Socket.IO on one worker: the endpoint, what the protocol suites talk to, and the way to the other workers.
internal final class SocketIOServices {
  private let relay: EngineRelay
  private let endpoint: SocketIOEndpoint?
  private let application: ChannelApplication
  private let diagnosis: SocketIODiagnosis?

  internal init(_ shared: SharedServices, hub: MessageHub, access: any AccessControl, in context: LoopContext) {
    let (configuration, webSocket) = (shared.configuration.socketIO, shared.configuration.http.webSocket)
    relay = EngineRelay(shared.engineMesh, in: context)
    context.register(relay)
    let held = context.service(HeldExchanges.self)
    endpoint =
      configuration.isEnabled ? SocketIOEndpoint(configuration, webSocket: webSocket, relay: relay, held: held) : nil
    application = ChannelApplication(
      configuration.namespaces, hub: hub, access: access, batch: shared.configuration.channelTransports.batch)
    endpoint?.application = application
    diagnosis =
      shared.configuration.diagnostics
      ? SocketIODiagnosis(configuration, webSocket: webSocket, relay: relay, held: held) : nil
  }

  internal func add(to router: Router) {
    endpoint?.add(to: router)
    diagnosis?.add(to: router)
  }

  internal func drain() {
    endpoint?.drain()
    diagnosis?.drain()
  }

  internal var metrics: [Metric] {
    var sessions: [String: Double] = [:]
    let counts = endpoint?.sessions ?? [:]
    for transport in EngineTransport.allCases {
      sessions[Metric.label("transport", transport.rawValue)] = Double(counts[transport] ?? 0)
    }
    return [
      Metric("martlet_socketio_sessions", .gauge, "Socket.IO sessions by transport.", sessions),
      Metric(
        "martlet_socketio_drops_total", .counter, "Broadcasts and request bodies that found no room on their way to another worker.",
        relay.dropped),
    ]
  }
}

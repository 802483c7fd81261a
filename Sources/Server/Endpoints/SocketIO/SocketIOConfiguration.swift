package import MartletPrimitives
package import MartletSocketIO

/// What an operator may set for Socket.IO; each field is a key of the `socketio` section.
package struct SocketIOConfiguration: Sendable {
  package var isEnabled = true
  package var path = "/socket.io/"
  package var engine = EngineConfiguration()
  package var limits = SocketIOLimits()
  /// How long a client may be connected without a namespace.
  package var connectTimeout = TimeSpan.seconds(45)
  /// A cookie with the session's id, for load balancers; empty sets none.
  package var cookie = ""
  /// Who asks for another namespace is refused.
  package var namespaces = ["/"]
  /// Sessions on each worker.
  package var maximumSessions = 100_000
  package init() {}
}

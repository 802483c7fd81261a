package import MartletPrimitives

/// What one Engine.IO session may make the server hold.
package struct EngineLimits: Equatable, Sendable {
  /// A request's body, a WebSocket message; told to the client as `maxPayload`.
  package var payloadBytes = 1_000_000
  /// Packets of one request's body.
  package var payloadPackets = 4096
  /// What waits for a client that does not ask, or does not read; beyond it the session is closed.
  package var queuedBytes = 4 << 20
  package var queuedPackets = 16_384
  package init() {}
}

/// How Engine.IO sessions are kept.
package struct EngineConfiguration: Equatable, Sendable {
  package var limits = EngineLimits()
  /// From the end of one heartbeat to the next ping.
  package var pingInterval = TimeSpan.seconds(25)
  /// How long a client may take to answer it.
  package var pingTimeout = TimeSpan.seconds(20)
  /// How long an upgrade may take.
  package var upgradeTimeout = TimeSpan.seconds(10)
  /// Sessions may leave polling for a WebSocket.
  package var allowsUpgrades = true
  package init() {}
}

/// How a session's packets travel.
package enum EngineTransport: String, Sendable, CaseIterable {
  case polling, webSocket = "websocket"
}

/// Why a request is refused: the codes of the reference implementation, which clients show to people.
package enum EngineRefusal: Int, Error, Sendable, CaseIterable {
  case unknownTransport = 0, unknownSession, badHandshakeMethod, badRequest, forbidden, unsupportedVersion

  /// The HTTP status.
  package var status: Int { self == .forbidden ? 403 : 400 }

  package var message: String {
    switch self {
    case .unknownTransport: "Transport unknown"
    case .unknownSession: "Session ID unknown"
    case .badHandshakeMethod: "Bad handshake method"
    case .badRequest: "Bad request"
    case .forbidden: "Forbidden"
    case .unsupportedVersion: "Unsupported protocol version"
    }
  }

  package var json: JSON { ["code": .int(Int64(rawValue)), "message": .string(message)] }
}

/// Why a session ended, in the words of the reference implementation.
package enum EngineCloseReason: String, Sendable {
  /// The client closed it.
  case transportClose = "transport close"
  /// The connection broke, or the client broke the protocol.
  case transportError = "transport error"
  case pingTimeout = "ping timeout"
  /// What the client sent was no packet.
  case parseError = "parse error"
  /// The server closed it.
  case forcedClose = "forced close"
  /// More waited for the client than may.
  case overflow = "queue overflow"
}

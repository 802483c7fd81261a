internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// Sends every message back, and reads only as fast as the peer does. One object serves all sessions.
internal final class WebSocketEcho: WebSocketHandler {
  /// Messages as long as protocol test suites send.
  internal static func options(_ configuration: WebSocketConfiguration) -> WebSocketOptions {
    var configuration = configuration
    configuration.limits.frame = max(configuration.limits.frame, 32 << 20)
    configuration.limits.message = max(configuration.limits.message, 32 << 20)
    configuration.limits.fragments = max(configuration.limits.fragments, 1 << 20)
    configuration.deflate.compressesBinary = true
    return WebSocketOptions(configuration)
  }

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    if !session.send(kind, payload) { session.pauseReading() }
  }

  internal func webSocketIsWritable(_ session: WebSocketSession) { session.resumeReading() }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {}
}

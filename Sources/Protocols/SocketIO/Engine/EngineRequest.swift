/// What an Engine.IO request asks for, from its query ("Request path", "Query parameters").
package struct EngineRequest: Equatable, Sendable {
  package var transport: EngineTransport
  /// `nil` opens a session.
  package var sid: String?

  /// - Parameters:
  ///   - query: the value of a parameter, `nil` when it is missing.
  ///   - isGet: the method is GET.
  ///   - asksUpgrade: the request is a WebSocket handshake.
  package init(_ query: (String) -> String?, isGet: Bool, asksUpgrade: Bool) throws(EngineRefusal) {
    guard let name = query("transport"), let transport = EngineTransport(rawValue: name) else { throw .unknownTransport }
    self.transport = transport
    sid = query("sid").flatMap { $0.isEmpty ? nil : $0 }
    // A WebSocket is asked for in the query and in the header, or in neither.
    guard asksUpgrade == (transport == .webSocket) else { throw .badRequest }
    guard sid == nil else { return }
    guard isGet else { throw .badHandshakeMethod }
    guard query("EIO") == "4" else { throw .unsupportedVersion }
  }
}

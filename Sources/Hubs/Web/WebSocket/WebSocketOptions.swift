package import MartletHTTP
package import MartletPrimitives

/// What the configuration says of WebSockets.
package struct WebSocketConfiguration: Equatable, Sendable {
  package var limits = WebSocketMachine.Limits()
  package var deflate = DeflateSettings()
  /// Whose pages may connect besides this server's own; `nil` for those that `http.cors` allows.
  package var origins: WebSocketOrigins?
  /// Quiet for this long: a ping is sent. Zero sends none.
  package var ping = TimeSpan.seconds(25)
  /// Quiet for this long, pings unanswered: closed. Zero never closes.
  package var idle = TimeSpan.seconds(60)
  /// For the peer to answer our Close and to close the connection.
  package var closeTimeout = TimeSpan.seconds(5)
  /// Bytes that may wait for a peer that does not read; one message more, and it is closed with 1013.
  package var queue = 1 << 20

  package init() {}

  /// How often a session is looked at, so that both limits are kept closely enough.
  internal var period: TimeSpan {
    let spans = [ping, idle, ping > .zero && idle > ping ? idle - ping : idle].filter { $0 > .zero }
    return max(.milliseconds(20), TimeSpan(nanoseconds: min(.seconds(20), spans.min() ?? .seconds(20)).nanoseconds / 4))
  }
}

/// What one endpoint brings to its WebSockets. Made once and shared by all of them: each session holds a reference.
package final class WebSocketOptions: Sendable {
  package let configuration: WebSocketConfiguration
  package let subprotocols: [String]
  /// Refuses clients that offer none of the subprotocols, which are accepted without one otherwise.
  package let requiresSubprotocol: Bool

  package init(_ configuration: WebSocketConfiguration = .init(), subprotocols: [String] = [], requiresSubprotocol: Bool = false) {
    self.configuration = configuration
    self.subprotocols = subprotocols
    self.requiresSubprotocol = requiresSubprotocol
  }

  /// - Parameter cors: decides about origins when the options do not.
  internal func terms(_ cors: CORSPolicy?) -> WebSocketHandshake.Terms {
    var terms = WebSocketHandshake.Terms()
    terms.subprotocols = subprotocols
    terms.requiresSubprotocol = requiresSubprotocol
    terms.deflate = configuration.deflate
    terms.origins = configuration.origins ?? cors.map { .cors($0) } ?? .any
    return terms
  }
}

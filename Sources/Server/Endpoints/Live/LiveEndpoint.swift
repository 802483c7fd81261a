internal import MartletHTTP
internal import MartletMedia
internal import MartletPrimitives
package import MartletWeb

/// `GET /APP/NAME.flv` and its siblings: the live stream over HTTP, or over a WebSocket when the client asks to
/// upgrade; `POST` of FLV publishes.
package final class LiveEndpoint {
  private let admission: Admission
  /// Viewers and publishers under way; each leaves when its connection does.
  private var sessions: [ObjectIdentifier: AnyObject] = [:]

  package init(_ admission: Admission) { self.admission = admission }

  /// Takes the request when its path names a stream in a live format.
  package func handle(_ exchange: HTTPExchange) -> Bool {
    guard let (path, format) = LiveFormat.find(exchange.request.target.path) else { return false }
    switch exchange.request.method {
    case .get: watch(exchange, path, format)
    case .post where format.suffix == ".flv": publish(exchange, path)
    case .head: exchange.respond(.ok, ["Content-Type": format.contentType])
    default: return false
    }
    return true
  }

  private func watch(_ exchange: HTTPExchange, _ path: StreamPath, _ format: LiveFormat) {
    let isWebSocket = WebSocketHandshake.isRequested(by: exchange.request)
    let transport = (isWebSocket ? "ws-" : "http-") + format.http.name
    admit(exchange, .play, path, transport) { client in
      if isWebSocket { self.watchByWebSocket(exchange, client, format) } else { self.watchByHTTP(exchange, client, format) }
    }
  }

  private func publish(_ exchange: HTTPExchange, _ path: StreamPath) {
    admit(exchange, .publish, path, "http-flv") { client in
      self.keep(FLVPublisher(exchange, client)) { $0.begin(self.admission) { self.sessions[$0] = nil } }
    }
  }

  private func admit(
    _ exchange: HTTPExchange, _ action: AccessAction, _ path: StreamPath, _ transport: String, then: @escaping (ClientInfo) -> Void
  ) {
    let request = exchange.accessRequest(action, on: path.text, transport: transport)
    admission.ask(request, path: path) { result in
      guard !exchange.isFinished else { return }
      switch result {
      case .success(let client): then(client)
      case .failure(let refusal): exchange.deny(request, refusal.reason, isFinal: refusal.isFinal)
      }
    }
  }

  private func watchByHTTP(_ exchange: HTTPExchange, _ client: ClientInfo, _ format: LiveFormat) {
    guard let sink = exchange.sink else { return }
    let reader = RingReader(ring: admission.hub.ring(client.path, format.http), client: client, sink: sink)
    keep(HTTPViewer(exchange, reader, contentType: format.contentType)) { $0.begin(self.admission) { self.sessions[$0] = nil } }
  }

  private func watchByWebSocket(_ exchange: HTTPExchange, _ client: ClientInfo, _ format: LiveFormat) {
    guard let wire = format.webSocket else { return exchange.refuse(.badRequest, "\(format.suffix) has no WebSocket form") }
    guard let session = exchange.acceptWebSocket() else { return }
    let reader = RingReader(ring: admission.hub.ring(client.path, wire), client: client, sink: session.sink)
    keep(WebSocketViewer(session, reader)) { $0.begin(self.admission) { self.sessions[$0] = nil } }
  }

  private func keep<Viewer: AnyObject>(_ viewer: Viewer, _ begin: (Viewer) -> Void) {
    sessions[ObjectIdentifier(viewer)] = viewer
    begin(viewer)
  }
}

internal import MartletHTTP
internal import MartletPrimitives
package import MartletWeb

/// `/diag`: endpoints without an application behind them, for measuring and for protocol test suites. Off by default.
package enum DiagnosisEndpoint {

  package static func add(to router: Router, webSockets: WebSocketConfiguration = .init()) {
    let (echo, options) = (WebSocketEcho(), WebSocketEcho.options(webSockets))
    router.on(.get, "/diag/hello") { exchange, _ in
      if WebSocketHandshake.isRequested(by: exchange.request) { return exchange.refuse(.badRequest, "the WebSocket echo is at /diag/echo") }
      exchange.respond(.ok, ["Content-Type": "text/plain"], hello)
    }
    router.on(.post, "/diag/echo") { exchange, _ in Self.echo(exchange) }
    router.on(.get, "/diag/echo") { exchange, _ in
      guard let session = exchange.acceptWebSocket(options) else { return }
      session.handler = echo
    }
  }

  private static let hello = Slice(Array("Hello world\n".utf8))

  /// Answers while it reads, and reads only as fast as the answer is taken.
  private static func echo(_ exchange: HTTPExchange) {
    let type = exchange.request.fields.first("Content-Type") ?? "application/octet-stream"
    exchange.onWritable = { [unowned exchange] in exchange.pauseBody(false) }
    exchange.onBody { [unowned exchange] part in
      if !exchange.write(part) { exchange.pauseBody(true) }
    } end: { [unowned exchange] in
      exchange.finish()
    }
    // Behind the word that the content is wanted: a client that expects `100 Continue` waits for it.
    exchange.begin(HTTPResponse(.ok, ["Content-Type": type]), body: .chunked)
  }
}

package import MartletHTTP
package import MartletIO
package import MartletPrimitives

/// What carries an exchange: one request of an HTTP/1.1 connection, or one HTTP/2 stream.
package protocol ExchangeTransport: AnyObject {
  var remote: SocketAddress { get }
  var isSecure: Bool { get }
  /// Where an `OutputSource` is pulled from once the head is sent.
  var sink: any OutputSink { get }
  func sendHead(_ response: HTTPResponse, body: HTTPBodyLength)
  /// False when the peer does not keep up.
  func sendBody(_ bytes: Slice) -> Bool
  func finishResponse()
  /// Ends the response so that the peer sees that it is incomplete.
  func abort()
  /// The handler wants the request's content: answers `Expect: 100-continue`.
  func acceptBody()
  func pauseBody(_ paused: Bool)
  /// Whose exchange it is; `nil` when there is no server behind it, as in tests.
  var host: HTTPServer? { get }
  /// Sends the head and turns the connection, or stream, into a WebSocket; `nil` when it is gone.
  func upgrade(_ head: HTTPResponse, _ agreement: WebSocketHandshake.Agreement, _ options: WebSocketOptions) -> WebSocketSession?
}

/// One request and its response, the same for HTTP/1.1 and HTTP/2. A handler gets it on the loop and may answer at once,
/// keep it and answer later, stream, or upgrade. Nothing here blocks or suspends.
package final class HTTPExchange {
  package let request: HTTPRequest
  package let context: LoopContext
  /// Added to whatever is answered: CORS fields, for example.
  package var responseFields: HTTPFields = [:]
  /// Called when a streamed response may go on after `write` answered false.
  package var onWritable: (() -> Void)?
  /// Called once, when the response is complete or the peer is gone.
  package var onClose: (() -> Void)?
  package private(set) var status: HTTPStatus?
  package private(set) var bytesSent = 0

  internal let started: Instant
  private var transport: (any ExchangeTransport)?
  private var bodyHandler: ((Slice) -> Void)?
  private var bodyEndHandler: (() -> Void)?
  private let body: HTTPBodyLength
  private var bodyEnded = false
  /// Content that came before somebody took it: a permission was being asked for.
  private var early: [Slice] = []
  private var earlyBytes = 0
  private var holdsContent = true
  private var hasPausedEarly = false
  /// Content held for a handler before the client is made to wait.
  private static let earlyLimit = 64 * 1024
  private var remoteAddress: SocketAddress

  internal init(_ request: HTTPRequest, body: HTTPBodyLength, on transport: any ExchangeTransport, in context: LoopContext) {
    self.request = request
    self.body = body
    self.transport = transport
    self.context = context
    remoteAddress = transport.remote
    isSecure = transport.isSecure
    started = context.now
    bodyEnded = body == .none
  }

  package private(set) var isSecure: Bool

  /// Takes the client's address and scheme from trusted proxies.
  internal func adoptForwarded(trusting proxies: [AddressRange]) {
    let peer = remoteAddress
    remoteAddress = ForwardedAddress.client(of: request, peer: peer, trusting: proxies)
    isSecure = isSecure || ForwardedAddress.isSecure(request, peer: peer, trusting: proxies)
  }

  package var remote: SocketAddress { remoteAddress }
  /// The response is complete, or there is nobody to send it to.
  package var isFinished: Bool { transport == nil }

  // MARK: Answering

  /// The whole response at once.
  package func respond(_ status: HTTPStatus, _ fields: HTTPFields = [:], _ content: Slice = Slice()) {
    guard transport != nil, self.status == nil else { return }
    begin(HTTPResponse(status, fields), body: content.isEmpty ? .none : .length(content.count))
    if !content.isEmpty { write(content) }
    finish()
  }

  package func respond(_ status: HTTPStatus, text: String) {
    respond(status, ["Content-Type": "text/plain; charset=utf-8"], Slice(Array("\(text)\n".utf8)))
  }

  package func respond(_ status: HTTPStatus, json: JSON) {
    respond(status, ["Content-Type": "application/json", "Cache-Control": "no-store"], Slice(json.serialized))
  }

  /// An error for a program and a person: `{"error": {"status": 404, "message": "…"}}`.
  package func refuse(_ status: HTTPStatus, _ reason: String) {
    respond(status, json: ["error": ["status": .int(Int64(status.code)), "message": .string(reason)]])
  }

  /// Sends the head; `write` and `finish` follow.
  package func begin(_ response: HTTPResponse, body: HTTPBodyLength) {
    guard let transport, status == nil else { return }
    status = response.status
    var response = response
    response.fields.append(contentsOf: responseFields)
    transport.sendHead(response, body: body)
  }

  /// - Returns: false when the peer does not keep up: stop until `onWritable`.
  @discardableResult package func write(_ bytes: Slice) -> Bool {
    guard let transport, status != nil else { return false }
    bytesSent += bytes.count
    return transport.sendBody(bytes)
  }

  package func finish() {
    guard let transport, status != nil else { return }
    detach()
    transport.finishResponse()
  }

  /// Gives up in the middle of a response.
  package func abort() {
    guard let transport else { return }
    detach()
    transport.abort()
  }

  /// Sends the head, then pulls content from a source until the peer leaves or `finish` is called.
  package func stream(_ response: HTTPResponse, from makeSource: (any OutputSink) -> Void) {
    guard let transport else { return }
    begin(response, body: .untilClose)
    makeSource(transport.sink)
  }

  /// Where a stream's bytes would be pulled to.
  package var sink: (any OutputSink)? { transport?.sink }

  /// Accepts a WebSocket handshake, or answers why not.
  ///
  /// - Parameter options: made once by the endpoint; without, the server's, which have no subprotocol.
  package func acceptWebSocket(_ options: WebSocketOptions? = nil) -> WebSocketSession? {
    guard let transport, status == nil else { return nil }
    guard request.connectProtocol != nil || body == .none else {
      refuse(.badRequest, "a WebSocket handshake has no content")
      return nil
    }
    let options = options ?? transport.host?.webSocketOptions ?? WebSocketOptions()
    switch WebSocketHandshake.answer(request, options.terms(transport.host?.configuration.cors), isSecure: isSecure) {
    case .refuse(let response, let reason):
      respond(response.status, response.fields, Slice(Array("\(reason)\n".utf8)))
      return nil
    case .accept(let response, let agreement):
      status = response.status
      guard let session = transport.upgrade(response, agreement, options) else { return nil }
      session.receiveEarly(exchange(&early, with: []).flatMap(\.array))
      if hasPausedEarly { transport.pauseBody(false) }
      detach()
      return session
    }
  }

  // MARK: The request's content

  /// Takes the content as it comes; a handler that decides later still gets all of it. Content of a request that is answered
  /// without a handler is thrown away.
  package func onBody(_ handler: @escaping (Slice) -> Void, end: @escaping () -> Void) {
    bodyHandler = handler
    bodyEndHandler = end
    if !bodyEnded { transport?.acceptBody() }
    if bodyEnded || !early.isEmpty { context.atEndOfTurn { [weak self] in self?.deliverEarly() } } else { holdsContent = false }
  }

  private func deliverEarly() {
    for part in exchange(&early, with: []) { bodyHandler?(part) }
    holdsContent = false
    if hasPausedEarly, transport != nil { transport?.pauseBody(false) }
    if bodyEnded { endBody() }
  }

  /// Collects the content up to `limit` bytes, or answers 413.
  package func collectBody(limit: Int, then: @escaping ([UInt8]) -> Void) {
    if case .length(let count) = body, count > limit { return refuse(413, "the content exceeds \(limit) bytes") }
    var collected: [UInt8] = []
    onBody { [unowned self] part in
      guard !self.isFinished else { return }
      if collected.count + part.count > limit { return self.refuse(413, "the content exceeds \(limit) bytes") }
      part.withUnsafeBytes { collected.append(contentsOf: $0) }
    } end: { [unowned self] in
      if self.status == nil { then(collected) }
    }
  }

  package func pauseBody(_ paused: Bool) { transport?.pauseBody(paused) }

  // MARK: From the transport

  internal func didReceiveBody(_ bytes: Slice) {
    if !holdsContent {
      bodyHandler?(bytes)
      return
    }
    guard status == nil, transport != nil else { return }
    early.append(bytes)
    earlyBytes += bytes.count
    guard earlyBytes > Self.earlyLimit, !hasPausedEarly else { return }
    hasPausedEarly = true
    transport?.pauseBody(true)
  }

  internal func didEndBody() {
    bodyEnded = true
    if !holdsContent { endBody() }
  }

  private func endBody() {
    bodyHandler = nil
    exchange(&bodyEndHandler, with: nil)?()
  }

  internal var takesBody: Bool { bodyHandler != nil }

  internal func becameWritable() { onWritable?() }

  /// The peer is gone.
  internal func didClose() {
    guard transport != nil else { return }
    detach()
  }

  private func detach() {
    transport = nil
    early = []
    onWritable = nil
    bodyHandler = nil
    bodyEndHandler = nil
    exchange(&onClose, with: nil)?()
  }
}

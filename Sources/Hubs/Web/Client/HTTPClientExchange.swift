internal import MartletHTTP
internal import MartletIO
package import MartletPrimitives

/// One request of a client and its response, from the queue over perhaps several redirects to the end.
package final class HTTPClientExchange {
  package private(set) var request: HTTPClientRequest
  /// Called when streamed content may go on after `write` answered false.
  package var onWritable: (() -> Void)?

  private let client: HTTPClient
  private var handler: ((HTTPClientEvent) -> Void)?
  internal var connection: HTTPClientConnection?
  internal weak var pool: HTTPClientPool?
  private var redirectsLeft: Int
  /// Where to go on once the response that says so has ended.
  private var redirect: HTTPClientRequest?
  private var skipped = 0
  /// It failed on a connection that had been idle: it gets one more try, on a new one.
  internal var hasRetried = false
  private var timer: SlabID?
  internal private(set) var isHeldBack = false

  /// Content written before there is a connection.
  private var early: [Slice] = []
  private var earlyBytes = 0
  private var hasFinishedBody = false
  private static let earlyLimit = 64 * 1024
  /// A redirect's own content is read up to this, so that the connection can be used again.
  private static let skipLimit = 64 * 1024

  internal init(_ request: HTTPClientRequest, _ client: HTTPClient, _ handler: @escaping (HTTPClientEvent) -> Void) {
    self.request = request
    self.client = client
    self.handler = handler
    redirectsLeft = request.redirects
    guard let total = request.timeouts.total else { return }
    timer = client.context.schedule(after: total) { [weak self] in
      self?.fail(.init(.timeout, "\(request.url) took longer than \(total.seconds) s"))
    }
  }

  package var isFinished: Bool { handler == nil }

  // MARK: Content of the request

  /// Sends a part of a streamed body.
  /// - Returns: false when the server does not keep up: stop until `onWritable`.
  @discardableResult package func write(_ bytes: Slice) -> Bool {
    guard !isFinished, !hasFinishedBody, case .stream = request.body else { return false }
    if let connection { return connection.write(bytes) }
    early.append(bytes)
    earlyBytes += bytes.count
    return earlyBytes < Self.earlyLimit
  }

  /// Ends a streamed body.
  package func finish() {
    guard !hasFinishedBody else { return }
    hasFinishedBody = true
    connection?.finishBody()
  }

  /// Holds the response's content back.
  package func pause(_ paused: Bool) {
    isHeldBack = paused
    connection?.pause(paused)
  }

  /// No event follows.
  package func cancel() {
    guard !isFinished else { return }
    handler = nil
    leave()
  }

  // MARK: From the connection

  /// The head has been sent: content may follow.
  internal func didBegin(on connection: HTTPClientConnection) {
    self.connection = connection
    if isHeldBack { connection.pause(true) }
    guard case .stream = request.body else { return }
    let parts = exchange(&early, with: [])
    earlyBytes = 0
    var keepsUp = true
    for part in parts { keepsUp = connection.write(part) }
    if hasFinishedBody { connection.finishBody() } else if keepsUp { onWritable?() }
  }

  internal func receiveHead(_ response: HTTPResponse) {
    if response.status.isRedirect, redirectsLeft > 0 || request.redirects > 0, let location = response.fields.first("Location") {
      return follow(response, location)
    }
    handler?(.head(response, url: request.url))
  }

  /// - Returns: false when the rest is not worth reading.
  internal func receiveBody(_ bytes: Slice) -> Bool {
    guard redirect == nil else {
      skipped += bytes.count
      return skipped <= Self.skipLimit
    }
    handler?(.body(bytes))
    return true
  }

  internal func receiveEnd(_ trailers: HTTPFields) {
    connection = nil
    if let next = exchange(&redirect, with: nil) {
      request = next
      skipped = 0
      hasRetried = false
      return client.dispatch(self)
    }
    finish(with: .end(trailers: trailers))
  }

  internal func fail(_ error: HTTPClientError) {
    guard !isFinished else { return }
    leave()
    finish(with: .failure(error))
  }

  private func finish(with event: HTTPClientEvent) {
    if let timer { client.context.cancel(timer) }
    timer = nil
    onWritable = nil
    exchange(&handler, with: nil)?(event)
  }

  private func leave() {
    if let timer { client.context.cancel(timer) }
    exchange(&connection, with: nil)?.abandon(self)
    pool?.remove(self)
  }

  // MARK: Redirects

  private func follow(_ response: HTTPResponse, _ location: String) {
    guard redirectsLeft > 0 else { return fail(.init(.tooManyRedirects, "more than \(request.redirects) redirects")) }
    guard let url = request.url.resolving(location), url.scheme == "http" || url.scheme == "https" else {
      return fail(.init(.badResponse, "\(response.status.code) leads to \"\(location.prefix(200))\", which is no web address"))
    }
    guard url.isSecure || !request.url.isSecure else {
      return fail(.init(.insecureRedirect, "\(request.url) leads from https to http"))
    }
    guard let next = request.redirected(response.status, to: url) else {
      // The content has been streamed and cannot be sent again: the caller decides.
      handler?(.head(response, url: request.url))
      return
    }
    redirectsLeft -= 1
    redirect = next
  }
}

extension HTTPClientRequest {
  /// RFC 9110 §15.4: 303, and 301 and 302 to POST, become GET; 307 and 308 keep method and content. `nil` when that content
  /// is gone.
  internal func redirected(_ status: HTTPStatus, to url: URLReference) -> HTTPClientRequest? {
    var next = self
    next.url = url
    let becomesGet = status.code == 303 ? method != .head : (status.code == 301 || status.code == 302) && method == .post
    if becomesGet {
      next.method = .get
      next.body = .none
      for name in ["Content-Type", "Content-Encoding", "Content-Language", "Content-Location", "Digest"] { next.fields.remove(name) }
    } else if !canSendAgain {
      return nil
    }
    if HTTPClient.Origin(url) != HTTPClient.Origin(self.url) {
      for name in ["Authorization", "Cookie", "Proxy-Authorization", "Origin", "Host"] { next.fields.remove(name) }
    }
    return next
  }
}

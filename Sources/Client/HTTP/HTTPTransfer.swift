internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb
internal import Synchronization

/// A request and its response on their way between a task and the loop.
internal final class HTTPTransfer: Sendable {
  internal enum Part: Sendable {
    case head(HTTPResponse, URLReference)
    case chunk([UInt8])
  }

  /// Held by whoever still wants the response: without it the exchange is given up.
  internal final class Lease: Sendable {
    internal let transfer: HTTPTransfer
    internal init(_ transfer: HTTPTransfer) { self.transfer = transfer }
    deinit { transfer.cancel() }
  }

  /// Bytes that wait in either direction.
  private static let limit = 256 * 1024

  internal let inbox: Inbox<Part, HTTPClient.Failure>
  internal let outbox: Outbox<[UInt8], HTTPClient.Failure>
  private let core: LoopBound<HTTPClientCore>
  private let body: HTTPClient.Request.Body
  private let feeder = Mutex<Task<Void, Never>?>(nil)
  private let id: HTTPClientCore.TransferID

  internal init(_ core: LoopBound<HTTPClientCore>, _ request: HTTPClient.Request) {
    let id = HTTPClientCore.TransferID()
    (self.core, self.id, body) = (core, id, request.body)
    // The client may go before its last response has been read.
    inbox = Inbox(limit: Self.limit) { core.post { $0.resume(id) } }
    outbox = Outbox(limit: Self.limit) { core.post { $0.pump(id) } }
  }

  internal func begin(_ message: HTTPClientRequest) {
    core.post { [self] in $0.begin(message, self, id) }
    guard case .stream(_, let produce) = body.content else { return }
    let task = Task { [outbox, core, id] in
      do {
        try await produce { chunk in if !chunk.isEmpty { try await outbox.put(chunk, cost: chunk.count) } }
        outbox.finish()
      } catch {
        let failure = HTTPClient.Failure(.requestBody, "the request's content: \(error)")
        core.post { $0.give(up: id, failure) }
      }
    }
    feeder.withLock { $0 = task }
  }

  internal func nextChunk() async throws(HTTPClient.Failure) -> [UInt8]? {
    while let part = try await inbox.next() {
      if case .chunk(let bytes) = part { return bytes }
    }
    return nil
  }

  private func cancel() { core.post { [id] in $0.give(up: id, .cancelled) } }

  // MARK: From the loop

  /// - Returns: false when the response is to be held back.
  internal func receive(_ part: Part, cost: Int) -> Bool { inbox.put(part, cost: cost) }

  internal func end(_ failure: HTTPClient.Failure?) {
    inbox.finish(failure)
    outbox.end(failure ?? HTTPClient.Failure(.closed, "the server has answered"))
    feeder.withLock { exchange(&$0, with: nil) }?.cancel()
  }
}

/// The client's side on the loop.
internal final class HTTPClientCore: LoopObject {
  internal final class TransferID: Sendable {}

  private let client: MartletWeb.HTTPClient
  private var running: [ObjectIdentifier: (transfer: HTTPTransfer, exchange: HTTPClientExchange)] = [:]

  internal init(_ client: MartletWeb.HTTPClient) { self.client = client }

  internal func begin(_ message: HTTPClientRequest, _ transfer: HTTPTransfer, _ id: HTTPTransfer.ID) {
    let key = ObjectIdentifier(id)
    let exchange = client.send(message) { [weak self] event in self?.handle(event, key) }
    running[key] = (transfer, exchange)
    guard case .stream = message.body else { return }
    exchange.onWritable = { [weak self] in self?.pump(id) }
    pump(id)
  }

  internal func resume(_ id: HTTPTransfer.ID) { running[ObjectIdentifier(id)]?.exchange.pause(false) }

  /// Sends content for as long as the server takes it.
  internal func pump(_ id: HTTPTransfer.ID) {
    guard let (transfer, exchange) = running[ObjectIdentifier(id)] else { return }
    while running[ObjectIdentifier(id)] != nil {
      switch transfer.outbox.next() {
      case .element(let bytes): if !exchange.write(Slice(bytes)) { return }
      case .nothingYet: return
      case .finished: return exchange.finish()
      }
    }
  }

  internal func give(up id: HTTPTransfer.ID, _ failure: HTTPClient.Failure) {
    guard let (transfer, exchange) = running.removeValue(forKey: ObjectIdentifier(id)) else { return }
    exchange.cancel()
    transfer.end(failure)
  }

  private func handle(_ event: HTTPClientEvent, _ key: ObjectIdentifier) {
    guard let (transfer, exchange) = running[key] else { return }
    switch event {
    case .head(let response, let url): _ = transfer.receive(.head(response, url), cost: 0)
    case .body(let bytes): if !transfer.receive(.chunk(bytes.array), cost: bytes.count) { exchange.pause(true) }
    case .end: end(key, nil)
    case .failure(let error): end(key, HTTPClient.Failure(error))
    }
  }

  private func end(_ key: ObjectIdentifier, _ failure: HTTPClient.Failure?) {
    running.removeValue(forKey: key)?.transfer.end(failure)
  }

  internal func handleIsGone() {
    client.close()
    for (transfer, _) in Array(running.values) { transfer.end(.cancelled) }
    running.removeAll()
  }
}

extension HTTPTransfer {
  internal typealias ID = HTTPClientCore.TransferID
}

extension HTTPClient.Failure {
  internal init(_ error: HTTPClientError) {
    let code: Code =
      switch error.code {
      case .invalid: .invalid
      case .unresolved: .unresolved
      case .unreachable: .unreachable
      case .timeout: .timeout
      case .forbiddenAddress: .forbiddenAddress
      case .proxy: .proxy
      case .tooManyRedirects: .tooManyRedirects
      case .insecureRedirect: .insecureRedirect
      case .badResponse: .badResponse
      case .closed: .closed
      case .overloaded: .overloaded
      case .cancelled: .cancelled
      case .tooLarge: .tooLarge
      }
    self.init(code, error.reason)
  }
}

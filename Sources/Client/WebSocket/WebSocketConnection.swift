internal import MartletCrypto
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb
internal import Synchronization

/// What tasks ask about a WebSocket without asking its loop.
internal final class WebSocketEnding: Sendable {
  private struct State {
    var state = WebSocket.ReadyState.open
    var wanted: (code: UInt16, reason: String)?
    var closure: WebSocket.Closure?
  }
  private let inner = Mutex(State())

  internal var state: WebSocket.ReadyState { inner.withLock(\.state) }
  internal var closure: WebSocket.Closure? { inner.withLock(\.closure) }
  /// What this side closes with.
  internal var wanted: (code: UInt16, reason: String) { inner.withLock { $0.wanted ?? (1000, "") } }

  /// The first call counts.
  internal func beginClosing(_ code: UInt16, _ reason: String) {
    inner.withLock { inner in
      guard inner.state == .open else { return }
      inner.state = .closing
      inner.wanted = (code, reason)
    }
  }

  internal func end(_ closure: WebSocket.Closure) {
    inner.withLock { inner in
      inner.state = .closed
      if inner.closure == nil { inner.closure = closure }
    }
  }
}

/// The WebSocket's side on the loop.
internal final class WebSocketConnection: LoopObject, WebSocketHandler {
  internal struct Agreement: Sendable {
    var subprotocol: String
    var extensions: String
  }

  private let context: LoopContext
  /// Lives as long: it looks after the session.
  private var client: WebSocketClient?
  private var opening: WebSocketOpening?
  private var session: WebSocketSession?
  private var inbox: Inbox<WebSocket.Message, WebSocket.Failure>?
  private var outbox: Outbox<WebSocket.Message, WebSocket.Failure>?
  private var ending: WebSocketEnding?
  private var opened: Inbox<Agreement, WebSocket.Failure>?

  internal init(in context: LoopContext) { self.context = context }

  internal func open(
    _ request: WebSocketClient.Request, trust: TLSContext.Trust, _ inbox: Inbox<WebSocket.Message, WebSocket.Failure>,
    _ outbox: Outbox<WebSocket.Message, WebSocket.Failure>, _ ending: WebSocketEnding, _ opened: Inbox<Agreement, WebSocket.Failure>
  ) {
    (self.inbox, self.outbox, self.ending, self.opened) = (inbox, outbox, ending, opened)
    let client = WebSocketClient(trust: trust, in: context)
    self.client = client
    opening = client.open(request) { [weak self] result in self?.didOpen(result) }
  }

  private func didOpen(_ result: Result<WebSocketSession, HTTPClientError>) {
    let extensions = exchange(&opening, with: nil)?.extensions ?? ""
    switch result {
    case .failure(let error): opened?.finish(WebSocket.Failure(error))
    case .success(let session):
      self.session = session
      session.handler = self
      opened?.put(Agreement(subprotocol: session.subprotocol ?? "", extensions: extensions), cost: 1)
    }
  }

  internal var bufferedAmount: Int { session?.bufferedAmount ?? 0 }

  internal func resume() { session?.resumeReading() }

  /// Sends for as long as the server takes it.
  internal func pump() {
    while let session, let outbox, session.isOpen {
      switch outbox.next() {
      case .element(.text(let text)): if !session.send(.text, Slice(Array(text.utf8))) { return }
      case .element(.binary(let bytes)): if !session.send(.binary, Slice(bytes)) { return }
      case .nothingYet: return
      case .finished:
        let (code, reason) = ending?.wanted ?? (1000, "")
        return session.close(.init(rawValue: code), reason: reason)
      }
    }
  }

  internal func handleIsGone() {
    exchange(&opening, with: nil)?.cancel()
    opened?.finish(WebSocket.Failure(.closed, "closed on this side"))
    session?.abort("closed on this side")
  }

  // MARK: WebSocketHandler

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    // Text was checked to be UTF-8.
    let message: WebSocket.Message = kind == .text ? .text(String(repairing: payload.bytes)) : .binary(payload.array)
    if inbox?.put(message, cost: payload.count + 64) == false { session.pauseReading() }
  }

  internal func webSocketIsWritable(_ session: WebSocketSession) { pump() }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    // What nobody answered was no closing handshake, whatever this side began it with.
    let known = session.isCleanlyClosed || session.hasFailed ? code.rawValue : 1006
    let closure = WebSocket.Closure(code: known, reason: reason, isClean: session.isCleanlyClosed)
    self.session = nil
    ending?.end(closure)
    let failure = WebSocket.Failure(.closed, closure.description, closure: closure)
    inbox?.finish(closure.isClean ? nil : failure)
    outbox?.end(failure)
  }
}

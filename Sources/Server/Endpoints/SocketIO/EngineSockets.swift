internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletSocketIO
internal import MartletWeb

/// A WebSocket as its session sees it, whichever worker it is on.
internal protocol EngineSocket: AnyObject {
  /// The session's driver; set when it is attached.
  var connection: EngineConnection? { get set }
  /// - Returns: false when too much waits to be written.
  func write(_ frame: Slice) -> Bool
  /// Written and not taken by the client's socket.
  var bufferedBytes: Int { get }
  /// - Parameter abruptly: without waiting for what is queued.
  func close(abruptly: Bool)
  /// Answers a request that came too late, behind the frames that were written before.
  func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ link: EngineLink?)
}

/// A WebSocket on the session's own worker.
internal final class LocalSocket: EngineSocket, WebSocketHandler {
  internal var connection: EngineConnection?
  /// Comes with the answer to the handshake, after the session has agreed: a handshake cannot be taken back.
  private var session: WebSocketSession?
  private let limit: Int

  internal init(limit: Int) { self.limit = limit }

  internal func open(_ session: WebSocketSession) {
    self.session = session
    session.sink.boundKernelOutput()
    session.handler = self
  }

  /// A client that does not read what it asks for is not read from either.
  internal func write(_ frame: Slice) -> Bool {
    guard let session else { return true }
    if !session.send(WebSocketImage(plain: frame)) { session.pauseReading() }
    return session.bufferedAmount <= limit
  }

  internal var bufferedBytes: Int { session?.bufferedAmount ?? 0 }

  internal func webSocketIsWritable(_ session: WebSocketSession) {
    session.resumeReading()
    connection?.becameWritable()
  }

  internal func close(abruptly: Bool) {
    connection = nil
    if abruptly { session?.abort() } else { session?.close() }
  }

  internal func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ link: EngineLink?) {
    guard let connection else { return }
    EngineEndpoint.refuse(ticket, refusal, link, from: connection.context)
  }

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    connection?.socket(self, didReceive: payload, isBinary: kind == .binary)
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    exchange(&connection, with: nil)?.socketDidClose(self)
  }
}

/// At home: a WebSocket on another worker. Frames of a turn travel together.
internal final class RelayedSocket: EngineSocket {
  internal var connection: EngineConnection?
  private let link: EngineLink
  private let relay: EngineRelay
  private var frames: [Slice] = []
  /// Sent to the door and not taken by its socket.
  private var outstanding = 0

  internal init(_ link: EngineLink, _ relay: EngineRelay) {
    self.link = link
    self.relay = relay
  }

  internal func write(_ frame: Slice) -> Bool {
    if frames.isEmpty { relay.context.atEndOfTurn { [weak self] in self?.flush() } }
    frames.append(frame)
    outstanding += frame.count
    return outstanding <= connection?.queueLimit ?? .max
  }

  private func flush() {
    guard !frames.isEmpty else { return }
    relay.send(.frames(link, exchange(&frames, with: [])), to: link.door)
  }

  internal func close(abruptly: Bool) {
    connection = nil
    flush()
    relay.send(.close(link, abruptly: abruptly), to: link.door)
    relay.forget(link)
  }

  internal func refuse(_ ticket: HeldExchange, _ refusal: EngineRefusal, _ other: EngineLink?) {
    flush()
    relay.send(.refuse(ticket, refusal, other), to: link.door)
  }

  internal func receive(_ messages: [EngineLinkMessage]) {
    var bytes = 0
    for message in messages {
      bytes += message.data.count
      connection?.socket(self, didReceive: message.data, isBinary: message.isBinary)
    }
    if connection != nil { relay.send(.read(link, bytes: bytes), to: link.door) }
  }

  internal var bufferedBytes: Int { outstanding }

  internal func taken(_ bytes: Int) {
    outstanding -= bytes
    connection?.becameWritable()
  }

  internal func didClose() { exchange(&connection, with: nil)?.socketDidClose(self) }
}

/// At the door: a WebSocket whose session lives elsewhere. Messages of a turn travel together; the peer is not read from while
/// much is under way.
internal final class EngineDoor: WebSocketHandler {
  internal var link: EngineLink?
  private let home: Int
  private let endpoint: EngineEndpoint
  private let relay: EngineRelay
  private var session: WebSocketSession?
  private var messages: [EngineLinkMessage] = []
  private var underWay = 0
  /// Too much is under way to the home; the peer does not take what it was sent.
  private var isFull = false, isUnread = false
  /// Written, but not told to the home yet: the socket has not taken it.
  private var owed = 0
  private static let window = 256 << 10

  internal init(home: Int, _ endpoint: EngineEndpoint, _ relay: EngineRelay) {
    self.home = home
    self.endpoint = endpoint
    self.relay = relay
  }

  internal func open(_ exchange: HTTPExchange) {
    guard let session = exchange.acceptWebSocket(endpoint.webSocketOptions) else { return leave() }
    self.session = session
    session.sink.boundKernelOutput()
    session.handler = self
  }

  /// The home said no, or the client left before it said anything.
  internal func leave() {
    guard let link = exchange(&link, with: nil) else { return }
    relay.removeDoor(link)
    relay.send(.left(link), to: home)
  }

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    if messages.isEmpty { session.context.atEndOfTurn { [weak self] in self?.flush() } }
    messages.append(EngineLinkMessage(data: payload, isBinary: kind == .binary))
    underWay += payload.count
    guard underWay > Self.window, !isFull else { return }
    isFull = true
    session.pauseReading()
  }

  private func resume() { if !isFull, !isUnread { session?.resumeReading() } }

  private func flush() {
    guard let link, !messages.isEmpty else { return }
    relay.send(.received(link, exchange(&messages, with: [])), to: home)
  }

  internal func read(_ bytes: Int) {
    underWay -= bytes
    guard isFull, underWay <= Self.window / 2 else { return }
    isFull = false
    resume()
  }

  internal func write(_ frames: [Slice]) {
    guard let session else { return }
    for frame in frames {
      if !session.send(WebSocketImage(plain: frame)), !isUnread {
        isUnread = true
        session.pauseReading()
      }
      owed += frame.count
    }
    if session.bufferedAmount < Self.window { settle() }
  }

  private func settle() {
    guard let link, owed > 0 else { return }
    relay.send(.taken(link, bytes: exchange(&owed, with: 0)), to: home)
  }

  internal func webSocketIsWritable(_ session: WebSocketSession) {
    isUnread = false
    resume()
    settle()
  }

  internal func close(abruptly: Bool) {
    guard let link = exchange(&link, with: nil) else { return }
    relay.removeDoor(link)
    if abruptly { session?.abort() } else { session?.close() }
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    flush()
    self.session = nil
    leave()
  }
}

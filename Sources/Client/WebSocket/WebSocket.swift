internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// A WebSocket (RFC 6455), in the words of the browsers' interface.
///
///     let socket = try await WebSocket("wss://example.org/chat")
///     try await socket.send("hello")
///     for try await message in socket.messages { … }
///     let ending = try await socket.close()
///
/// Pings are answered and sent by themselves. The connection is closed with `close`, or cut when the socket and its iterators
/// are released.
public final class WebSocket: Sendable {
  private let connection: LoopBound<WebSocketConnection>
  private let inbox: Inbox<Message, Failure>
  private let outbox: Outbox<Message, Failure>
  private let ending: WebSocketEnding
  private let options: Options

  /// As it was given.
  public let url: String
  /// The subprotocol that the server chose; empty without one (RFC 6455 §1.9).
  public let `protocol`: String
  /// What was agreed on, as the server wrote it, `permessage-deflate; …` for example; empty without one (RFC 6455 §9).
  public let extensions: String

  /// Connects, and returns when the handshake is done (RFC 6455 §4.1).
  ///
  /// - Parameter url: `ws://HOST[:PORT]/PATH` or `wss://…`; `http` and `https` mean the same. The ports are 80 and 443 unless
  ///   given. User and password in it go as Basic authorization.
  /// - Throws: why there is no connection; `Failure.status` says what a server answered that refused.
  public convenience init(_ url: String, _ options: Options = Options()) async throws(Failure) {
    try await self.init(url, options, on: .shared)
  }

  package init(_ url: String, _ options: Options, on loop: ClientLoop) async throws(Failure) {
    let request = try options.request(url)
    let connection = LoopBound(on: loop) { WebSocketConnection(in: $0) }
    let inbox = Inbox<Message, Failure>(limit: options.bufferedBytes) { [weak connection] in connection?.post { $0.resume() } }
    let outbox = Outbox<Message, Failure>(limit: options.bufferedBytes) { [weak connection] in connection?.post { $0.pump() } }
    let (ending, opened) = (WebSocketEnding(), Inbox<WebSocketConnection.Agreement, Failure>(limit: 1))
    let trust = options.trust.trust
    connection.post { $0.open(request, trust: trust, inbox, outbox, ending, opened) }
    guard let agreement = try await opened.next() else { throw Failure(.closed, "the connection was closed in the handshake") }
    (self.connection, self.inbox, self.outbox, self.ending) = (connection, inbox, outbox, ending)
    (self.url, self.options, self.protocol, extensions) = (url, options, agreement.subprotocol, agreement.extensions)
  }

  // MARK: State

  /// The numbers are those of browsers.
  public enum ReadyState: Int, Sendable {
    /// Only while the initializer runs.
    case connecting
    case open
    /// One of both ends has begun to close.
    case closing
    case closed
  }

  public var readyState: ReadyState { ending.state }

  /// Bytes of messages that were sent here and that the network has not taken.
  public var bufferedAmount: Int {
    get async {
      let held = await withCheckedContinuation { continuation in
        connection.post { continuation.resume(returning: $0.bufferedAmount) }
      }
      return held + outbox.cost
    }
  }

  /// How it ended; `nil` until it has.
  public var closure: Closure? { ending.closure }

  // MARK: Sending

  /// Sends a text message. Waits while `Options.bufferedBytes` are on their way already.
  /// - Throws: `closed` when it cannot be sent any more, `cancelled`.
  public func send(_ text: String) async throws(Failure) { try await send(.text(text)) }

  /// Sends a binary message. Waits while `Options.bufferedBytes` are on their way already.
  /// - Throws: `closed` when it cannot be sent any more, `cancelled`.
  public func send(_ bytes: [UInt8]) async throws(Failure) { try await send(.binary(bytes)) }

  public func send(_ message: Message) async throws(Failure) {
    guard ending.state == .open else { throw Failure(.closed, ending.closure?.description ?? "the WebSocket is closing") }
    try await outbox.put(message, cost: message.count)
  }

  // MARK: Closing

  /// Sends what waits, then closes, and returns when both ends have (RFC 6455 §7.1): at the latest when
  /// `Options.closeTimeout` has passed since then. Messages that arrive from now on are dropped. Another call waits for the
  /// same end.
  ///
  /// - Parameters:
  ///   - code: 1000, or 3000 to 4999 (RFC 6455 §7.4.2).
  ///   - reason: at most 123 bytes of UTF-8.
  /// - Returns: the server's answer, `Closure.isClean` false when there was none.
  /// - Throws: `invalid` for another code or a longer reason; `cancelled`, in which case it is cut.
  @discardableResult public func close(code: UInt16 = 1000, reason: String = "") async throws(Failure) -> Closure {
    guard code == 1000 || (3000...4999).contains(code) else { throw Failure(.invalid, "a close code is 1000 or 3000 to 4999") }
    guard reason.utf8.count <= 123 else { throw Failure(.invalid, "the reason of a close is at most 123 bytes") }
    ending.beginClosing(code, reason)
    inbox.finish()
    outbox.finish()
    connection.post { $0.resume() }
    await outbox.ended()
    guard let closure = ending.closure else {
      connection.post { $0.handleIsGone() }
      throw .cancelled
    }
    return closure
  }

  // MARK: Receiving

  /// What the server sends. Ends when the connection was closed in the order of the protocol, with whatever code, and throws
  /// when it broke. While nobody reads and `Options.bufferedBytes` wait, the server is held back. One task reads.
  public var messages: Messages { Messages(socket: self) }

  public struct Messages: AsyncSequence, Sendable {
    public typealias Element = Message
    public typealias Failure = WebSocket.Failure
    fileprivate let socket: WebSocket

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(socket: socket) }

    public struct AsyncIterator: AsyncIteratorProtocol {
      fileprivate let socket: WebSocket

      public mutating func next() async throws(WebSocket.Failure) -> Message? { try await socket.inbox.next() }
      public mutating func next(isolation actor: isolated (any Actor)?) async throws(WebSocket.Failure) -> Message? {
        try await socket.inbox.next()
      }
    }
  }
}

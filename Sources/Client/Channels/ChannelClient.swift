internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb
internal import Synchronization

/// Channels of a Martlet server (docs/channels.md): any number of subscriptions, publications and questions over one
/// connection, which is made when it is needed and made again when it is lost.
///
///     let client = ChannelClient("ws://example.org:8080/ws") { try await signIn() }
///     let chat = try await client.subscribe("chat", last: 20)
///     try await client.publish("hello", to: "chat")
///     for try await event in chat { if case .message(let message) = event { … } }
///
/// Each subscription goes on behind its last message, so that nothing is missed and nothing comes twice; when the server no
/// longer has what lies between, the subscription says `lost`. Requests wait for the connection, `Options.timeout` at most.
/// Close codes from 4500 on, and a handshake refused with a status from 400 to 499, end everything that is under way with
/// `rejected`; whatever is asked for later connects anew.
///
/// The connection is closed with `close`, or when the client and its subscriptions are released.
public final class ChannelClient: Sendable {
  public struct Options: Sendable {
    /// More fields of the handshake, such as `Origin` and `Cookie`.
    public var headers = HTTPHeaders()
    /// For `wss`.
    public var trust = TLSTrust.system
    /// Offers permessage-deflate.
    public var deflate = true
    /// For each attempt: name, TCP and TLS, and then the handshake.
    public var connectTimeout: Duration = .seconds(10)
    /// From a request to its answer, reconnects included.
    public var timeout: Duration = .seconds(30)
    /// Before the first attempt to connect again; between half of it and all of it, and twice as long each time.
    public var retry: Duration = .milliseconds(500)
    /// No wait is longer.
    public var maximumRetry: Duration = .seconds(30)
    /// Bytes that wait for the reader of a subscription. Beyond them the server is told to stop, and asked for the rest later:
    /// other subscriptions do not wait for a slow reader.
    public var bufferedBytes = 1 << 20
    /// Bytes of requests that wait for the server; further ones fail with `overloaded`.
    public var requestBytes = 16 << 20
    /// A server that sent nothing for this long is pinged.
    public var ping: Duration = .seconds(25)
    /// And given up after this long, when it did not answer.
    public var idle: Duration = .seconds(60)

    public init() {}
  }

  /// Answers the token to connect with. A `ChannelError` whose `mayRetry` is false ends what is under way; after any other error
  /// the client asks again with the next attempt.
  public typealias TokenProvider = @Sendable () async throws -> String

  private let connection: LoopBound<ChannelConnection>
  private let bufferedBytes: Int
  private let token: TokenProvider?

  /// - Parameters:
  ///   - url: `ws://HOST[:PORT][/PATH]`, or `wss`, `http`, `https`. Without a path it is `/ws`. What cannot be used is reported
  ///     by the first call.
  ///   - token: asked before each connection; without one the server's anonymous permissions apply.
  public convenience init(_ url: String, _ options: Options = Options(), token: TokenProvider? = nil) {
    self.init(url, options, token: token, on: .shared)
  }

  package init(_ url: String, _ options: Options, token: TokenProvider?, on loop: ClientLoop) {
    self.token = token
    bufferedBytes = max(1, options.bufferedBytes)
    let request = options.request(url)
    let link = TokenLink(token)
    connection = LoopBound(on: loop) { context in
      ChannelConnection(options.machine(), request, trust: options.trust.trust, in: context) { link.ask() }
    }
    link.connection.withLock { $0 = WeakBound(connection) }
  }

  // MARK: Subscribing

  /// Subscribes, and returns when the server has confirmed it.
  ///
  /// - Parameters:
  ///   - channel: up to 255 bytes. A client subscribes to a channel once at a time.
  ///   - since: a cursor, behind which it begins.
  ///   - last: begins with so many of the newest messages; ignored beside `since`. Without either it begins with the next one.
  ///   - presence: hear of comings and goings, where the channel keeps presence and the token allows it.
  ///   - info: JSON text, at most 1 KiB, that others see of this member.
  /// - Throws: `refused` with the server's reason, `timedOut`, `rejected`, `cancelled`.
  public func subscribe(
    _ channel: String, since: String? = nil, last: Int? = nil, presence: Bool = false, info: String? = nil
  ) async throws(ChannelError) -> ChannelSubscription {
    var wish = ChannelMachine.Wish(channel: channel, presence: presence)
    wish.start = since.map { .since($0) } ?? last.map { .last($0) } ?? .now
    if let info { wish.info = Array(try Self.json(info).utf8) }
    let events = ChannelSubscription.ticket(on: connection, limit: bufferedBytes)
    let answer = try await ask { [wish] connection, answer in
      connection.subscribe(wish, events, answer)
    } cleanUp: { [connection] in
      connection.post { $0.unsubscribe(events) }
    }
    guard case .cursor(let cursor) = answer else { throw .closed }
    return ChannelSubscription(channel, cursor, events, connection)
  }

  // MARK: Publishing

  /// Publishes a text, and returns its cursor when the server has it: for a durable channel, on disk.
  @discardableResult public func publish(_ text: String, to channel: String, event: String = "") async throws(ChannelError) -> String {
    try await publish(.text(text), to: channel, event: event)
  }

  /// Publishes, and returns the message's cursor when the server has it: for a durable channel, on disk.
  ///
  /// When the connection is lost meanwhile it is published again, under the same key, of which the server keeps one: it is
  /// published once. After `timedOut` it may have been or not; the same call with the same key tells.
  ///
  /// - Parameters:
  ///   - type: a MIME type of at most 128 bytes, for text and binary; that of JSON is fixed.
  ///   - event: a name that subscribers may dispatch on, at most 128 bytes.
  ///   - key: at most 128 bytes; a random one unless given.
  @discardableResult public func publish(
    _ content: ChannelContent, to channel: String, type: String = "", event: String = "", key: String? = nil
  ) async throws(ChannelError) -> String {
    if case .json(let text) = content { _ = try Self.json(text) }
    let message = ChannelMachine.Publication(
      channel: channel, content: content, type: type, event: event, key: key ?? Self.randomKey())
    let answer = try await request { machine, now throws(ChannelError) in try machine.publish(message, now: now) }
    guard case .cursor(let cursor) = answer else { throw .closed }
    return cursor
  }

  private static func randomKey() -> String { Hex.encode((0..<16).map { _ in UInt8.random(in: 0...255) }) }

  private static func json(_ text: String) throws(ChannelError) -> String {
    do throws(ParseError) {
      var limits = JSONLimits()
      limits.bytes = max(limits.bytes, text.utf8.count)
      _ = try JSON(parsing: Array(text.utf8), limits: limits)
      return text
    } catch { throw .invalid("no JSON: \(error)") }
  }

  // MARK: Asking

  /// Messages that the channel keeps: up to `limit` behind the cursor `since`, or the newest ones.
  public func history(of channel: String, since: String? = nil, limit: Int = 100) async throws(ChannelError) -> ChannelHistory {
    let start = since.map { ChannelMachine.Start.since($0) } ?? .last(limit)
    let answer = try await request { machine, now throws(ChannelError) in
      try machine.history(channel, start, limit: limit, now: now)
    }
    guard case .history(let history) = answer else { throw .closed }
    return history
  }

  /// Who is subscribed to a channel that keeps presence.
  public func presence(of channel: String) async throws(ChannelError) -> [ChannelMember] {
    let answer = try await request { machine, now throws(ChannelError) in try machine.presence(channel, now: now) }
    guard case .members(let members) = answer else { throw .closed }
    return members
  }

  /// Asks the provider for another token and puts it in place, so that the connection outlives the one before. Subscriptions
  /// that it does not allow end with `refused`.
  public func refresh() async throws(ChannelError) {
    guard let token else { throw .invalid("a client without tokens has none to refresh") }
    let fresh: String
    do { fresh = try await token() } catch { throw (error as? ChannelError) ?? .invalid("no token: \(error)") }
    _ = try await request { machine, now throws(ChannelError) in try machine.refresh(fresh, now: now) }
  }

  /// Ends all subscriptions behind what has arrived, fails what is under way with `closed`, and says goodbye to the server.
  public func close() { connection.post { $0.close() } }

  // MARK: Waiting

  private func request(
    _ body: @escaping @Sendable (inout ChannelMachine, Instant) throws(ChannelError) -> Int64
  ) async throws(ChannelError) -> ChannelMachine.Answer {
    try await ask { $0.ask($1, body) }
  }

  private func ask(
    _ body: @escaping @Sendable (ChannelConnection, ChannelConnection.Answers) -> Void, cleanUp: @Sendable () -> Void = {}
  ) async throws(ChannelError) -> ChannelMachine.Answer {
    let answer = ChannelConnection.Answers(limit: 1)
    connection.post { body($0, answer) }
    do throws(ChannelError) {
      guard let value = try await answer.next() else { throw .closed }
      return value
    } catch {
      connection.post { $0.abandon(answer) }
      cleanUp()
      throw error
    }
  }
}

/// The way from the loop to the provider of tokens and back. Does not keep the client.
private final class TokenLink: Sendable {
  let connection = Mutex(WeakBound(nil))
  private let token: ChannelClient.TokenProvider?

  init(_ token: ChannelClient.TokenProvider?) { self.token = token }

  func ask() {
    guard let token else { return give(.success(nil)) }
    Task { [self] in
      do { give(.success(try await token())) } catch {
        give(.failure((error as? ChannelError) ?? .timedOut("no token: \(error)")))
      }
    }
  }

  private func give(_ result: Result<String?, ChannelError>) {
    connection.withLock { $0.bound }?.post { $0.connect(with: result) }
  }
}

private struct WeakBound: Sendable {
  weak let bound: LoopBound<ChannelConnection>?
  init(_ bound: LoopBound<ChannelConnection>?) { self.bound = bound }
}

extension ChannelClient.Options {
  internal func machine() -> ChannelMachine {
    var limits = ChannelMachine.Limits()
    limits.requestBytes = max(1, requestBytes)
    limits.timeout = TimeSpan(timeout)
    let first = max(.milliseconds(1), TimeSpan(retry))
    let backoff = Backoff(initial: first, maximum: max(first, TimeSpan(maximumRetry)))
    return ChannelMachine(limits: limits, backoff: backoff, random: SystemRandomNumberGenerator())
  }

  internal func request(_ url: String) -> Result<WebSocketClient.Request, ChannelError> {
    var options = WebSocket.Options()
    options.subprotocols = ["martlet.v1"]
    (options.headers, options.deflate, options.ping, options.idle) = (headers, deflate, ping, idle)
    (options.connectTimeout, options.handshakeTimeout) = (connectTimeout, connectTimeout)
    do throws(WebSocket.Failure) {
      var request = try options.request(url)
      if request.url.rawPath == "/" { request.url.rawPath = "/ws" }
      return .success(request)
    } catch { return .failure(.invalid(error.description)) }
  }
}

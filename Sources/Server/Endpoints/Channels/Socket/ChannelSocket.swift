internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

extension ChannelsEndpoint {
  internal static let subprotocol = "martlet.v1"

  /// `GET /ws`: the connection is open to everybody; each command asks for its own permission.
  internal func connect(_ exchange: HTTPExchange) {
    guard WebSocketHandshake.isRequested(by: exchange.request) else {
      return exchange.refuse(426, "this is a WebSocket; see docs/channels.md")
    }
    let question = exchange.accessRequest(.subscribe, on: "", transport: "ws")
    guard let session = exchange.acceptWebSocket(socketOptions) else { return }
    let socket = ChannelSocket(session, question, self)
    session.handler = socket
    hub.add(socket)
  }
}

/// One connection of `/ws`: commands come as JSON text frames, alone or several in an array; messages of all its channels
/// leave as frames that are shared with the other subscribers.
///
/// It is kept small: most connections are idle, and what only some need is made when they first do.
internal final class ChannelSocket: ChannelSession, ChannelReaderOwner, WebSocketHandler {
  private let session: WebSocketSession
  private unowned let endpoint: ChannelsEndpoint
  /// What the handshake said of who asks, until the first command needs a permission.
  private let question: AccessRequest
  private var asked: ChannelAdmission?
  /// Made with the first subscription.
  private var reader: ChannelReader?
  private let number: Int
  private let since: WallTime
  /// Commands whose answer is under way.
  private var pending: Int32 = 0

  /// Commands that may be under way at once; an answer with history counts for several.
  private static let maximumPending: Int32 = 256
  private static let historyWeight: Int32 = 32
  /// While so much waits for a client to read it, its commands are refused.
  private static let maximumBuffered = 512 << 10

  /// The largest command: a message as base64 with what is around it.
  internal static func commandBytes(_ configuration: ChannelConfiguration) -> Int { configuration.messageBytes / 3 * 4 + 8192 }

  internal init(_ session: WebSocketSession, _ question: AccessRequest, _ endpoint: ChannelsEndpoint) {
    self.session = session
    self.question = question
    self.endpoint = endpoint
    number = endpoint.hub.nextClientNumber()
    since = session.context.wallTime
  }

  private var hub: MessageHub { endpoint.hub }

  private var admission: ChannelAdmission {
    if let asked { return asked }
    let made = ChannelAdmission(question, endpoint.access, hub.users, in: session.context)
    asked = made
    return made
  }

  internal var client: ChannelClient {
    ChannelClient(
      id: hub.clientID(of: number), transport: "ws", remote: question.remote, since: since, user: asked?.user, tokenID: asked?.tokenID,
      userAgent: question.userAgent)
  }

  internal var channels: [ChannelName] { reader?.subscriptions.map(\.channel) ?? [] }

  // MARK: Commands

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    if kind == .binary { return receiveBinary(payload) }
    var limits = JSONLimits()
    limits.bytes = Self.commandBytes(hub.configuration)
    limits.depth = 32
    do throws(ParseError) {
      switch try JSON(parsing: payload.bytes, limits: limits) {
      case .array(let commands):
        let limit = Int(Self.maximumPending)
        guard commands.count <= limit else { throw .limit("commands of one frame", maximum: limit) }
        for command in commands { perform(command) }
      case let command: perform(command)
      }
    } catch { session.send(.text, SocketReply.error(nil, .badCommand, "not a command: \(error)")) }
  }

  /// A binary frame publishes: the length of a JSON command in two bytes, the command without its payload, the payload.
  private func receiveBinary(_ payload: Slice) {
    var id: Int64?
    do throws(ParseError) {
      var reader = ByteReader(payload.bytes)
      let count = Int(try reader.u16())
      let json = try JSON(parsing: Array(copying: try reader.bytes(count)))
      id = json["id"].flatMap { if case .int(let id) = $0 { id } else { nil } }
      guard case .object(var object) = json else { throw .invalid("a command is an object", at: 2) }
      object["b64"] = .string("")
      object["data"] = nil
      guard case .publish(let channel, var draft) = try SocketCommand(.object(object), id: id).action else {
        throw .invalid("a binary frame publishes", at: 2)
      }
      draft.payload = payload.dropFirst(2 + count)
      publish(id, channel, draft)
    } catch { session.send(.text, SocketReply.error(id, .badCommand, "\(error)")) }
  }

  private func perform(_ json: JSON) {
    let id: Int64? = if case .int(let value)? = json["id"] { value } else { nil }
    guard session.isOpen else { return }
    guard pending < Self.maximumPending, session.bufferedAmount < Self.maximumBuffered else {
      return fail(id, .busy, "too many commands are under way, or their answers are not read")
    }
    do throws(ParseError) { perform(try SocketCommand(json, id: id)) } catch { fail(id, .badCommand, "\(error)") }
  }

  private func perform(_ command: SocketCommand) {
    let id = command.id
    switch command.action {
    case .ping: reply(id)
    case .connect(let token):
      if let token { admission.renew(token) }
      greet(id)
    case .refresh(let token):
      admission.renew(token)
      verifySubscriptions(id)
    case .subscribe(let channel, let start, let watches, let info): subscribe(id, channel, start, watches, info)
    case .unsubscribe(let channel):
      do throws(MessageError) {
        guard let reader else { throw .notSubscribed }
        try hub.unsubscribe(reader, from: channel)
        reply(id)
      } catch { fail(id, error) }
    case .publish(let channel, let draft): publish(id, channel, draft)
    case .history(let channel, let start, let limit): history(id, channel, start, limit)
    case .presence(let channel): presence(id, channel)
    }
  }

  private func greet(_ id: Int64?) {
    reply(id) { [client, admission] json in
      json.member("client", client.id)
      json.member("version", 1)
      if let user = admission.user { json.member("user", user) }
    }
  }

  /// With a new token the connection may lose a channel; then it must not go on hearing it.
  private func verifySubscriptions(_ id: Int64?) {
    var left = channels.count
    var refusal: String?
    guard left > 0 else { return reply(id) }
    for channel in channels {
      permit(id, .subscribe, channel) { [self] in
        left -= 1
        if left == 0, refusal == nil { reply(id) }
      } denied: { [self] reason, code in
        left -= 1
        refusal = reason
        if let reader { try? hub.unsubscribe(reader, from: channel) }
        say(SocketReply.error(id, code, "\(channel): \(reason)", ended: channel))
      }
    }
  }

  private func subscribe(_ id: Int64?, _ channel: ChannelName, _ start: SubscriptionStart, _ watches: Bool, _ info: Slice) {
    permit(id, .subscribe, channel) { [self] in
      let reader = openReader()
      pending += 1
      hub.subscribe(reader, to: channel, start) { [weak self] result in
        guard let self else { return }
        self.pending -= 1
        switch result {
        case .failure(let error): self.fail(id, error)
        case .success(let subscription):
          self.reply(id) { json in
            json.member("channel", channel.text)
            json.member("cursor", subscription.cursor.description)
            json.member("lost", subscription.lostHistory)
          }
          ChannelPresence.enter(
            subscription, as: self.client, info: info, watches: watches, self.admission, in: self.hub, now: self.session.context.wallTime)
        }
      }
    }
  }

  private func publish(_ id: Int64?, _ channel: ChannelName, _ draft: Draft) {
    guard draft.payload.count <= hub.configuration.messageBytes else {
      return fail(id, .limit, "a message exceeds \(hub.configuration.messageBytes) bytes (channels.message)")
    }
    permit(id, .publish, channel) { [self] in
      var draft = draft
      draft.user = admission.user
      pending += 1
      hub.publish(draft, to: channel) { [weak self] result in
        guard let self else { return }
        self.pending -= 1
        switch result {
        case .failure(let error): self.fail(id, error)
        case .success(let cursor): self.reply(id) { $0.member("cursor", cursor.description) }
        }
      }
    }
  }

  private func history(_ id: Int64?, _ channel: ChannelName, _ start: SubscriptionStart, _ limit: Int) {
    permit(id, .history, channel) { [self] in
      pending += Self.historyWeight
      hub.history(of: channel, start, limit: min(limit, endpoint.configuration.batch)) { [weak self] result in
        guard let self else { return }
        self.pending -= Self.historyWeight
        switch result {
        case .failure(let error): self.fail(id, error)
        case .success(let history): self.reply(id) { history.write(of: channel, to: &$0) }
        }
      }
    }
  }

  private func presence(_ id: Int64?, _ channel: ChannelName) {
    permit(id, .presence, channel) { [self] in
      pending += 1
      hub.presence(of: channel) { [weak self] result in
        guard let self else { return }
        self.pending -= 1
        switch result {
        case .failure(let error): self.fail(id, error)
        case .success(let members): self.reply(id) { MessageJSON.write(members, to: &$0) }
        }
      }
    }
  }

  // MARK: Answers

  private func permit(_ id: Int64?, _ action: AccessAction, _ channel: ChannelName, then: @escaping () -> Void) {
    permit(id, action, channel, then: then) { [weak self] reason, code in self?.fail(id, code, reason) }
  }

  private func permit(
    _ id: Int64?, _ action: AccessAction, _ channel: ChannelName, then: @escaping () -> Void,
    denied: @escaping (String, SocketErrorCode) -> Void
  ) {
    pending += 1
    admission.ask(action, on: channel) { [weak self] verdict in
      guard let self else { return }
      self.pending -= 1
      switch verdict {
      case .allowed: then()
      case .denied(let reason, let needsCredentials): denied(reason, needsCredentials ? .noCredentials : .forbidden)
      }
    }
  }

  private func reply(_ id: Int64?, _ body: (inout JSONWriter) -> Void = { _ in }) {
    if let id { say(SocketReply.ok(id, body)) }
  }

  private func fail(_ id: Int64?, _ error: MessageError) { fail(id, SocketErrorCode(error), "\(error)") }

  private func fail(_ id: Int64?, _ code: SocketErrorCode, _ message: String) { say(SocketReply.error(id, code, message)) }

  /// A client that asks faster than it reads is made to wait.
  private func say(_ text: Slice) { if !session.send(.text, text) { session.pauseReading() } }

  internal func webSocketIsWritable(_ session: WebSocketSession) { session.resumeReading() }

  // MARK: Messages

  private func openReader() -> ChannelReader {
    if let reader { return reader }
    let reader = ChannelReader(session.usesDeflate ? endpoint.formats.compressedSocket : endpoint.formats.socket, sink: session.sink)
    reader.owner = self
    reader.start()
    self.reader = reader
    return reader
  }

  internal func readerFellBehind(_ reader: ChannelReader, on channel: ChannelName) { kick(.slow) }

  internal func reader(_ reader: ChannelReader, didSee event: PresenceEvent) { say(Slice(MessageJSON.presence(event))) }

  internal func kick(_ reason: ChannelKick) {
    session.close(ChannelCloseCode.of(reason), reason: EventStreamFields.sentence(reason))
  }

  internal func sweep(now: Instant, stuck: TimeSpan) {
    if asked?.isExpired == true { return kick(.expired) }
    if reader?.isTooSlow(now: now, limit: stuck) == true { kick(.slow) }
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    if let reader { hub.close(reader) }
    hub.remove(self)
  }
}

internal import MartletHTTP
internal import MartletIO
package import MartletMessages
package import MartletPrimitives
package import MartletWeb

/// Channels over HTTP: `/channels/NAME` to publish, `/channels/NAME/events` and `/events` (Server-Sent Events),
/// `/channels/NAME/poll` and `/poll`, `/channels/NAME/history`, `/channels/NAME/presence`; and `/ws`.
package final class ChannelsEndpoint {
  package struct Configuration: Equatable, Sendable {
    /// What an EventSource is told to wait before it comes back.
    package var retry = TimeSpan.seconds(3)
    /// A quiet event stream gets a comment this often.
    package var heartbeat = TimeSpan.seconds(15)
    /// How long a poll may be held.
    package var poll = TimeSpan.seconds(25)
    /// Messages of one answer to a poll or a question for history.
    package var batch = 1000
    package init() {}
  }

  internal let hub: MessageHub
  internal let access: any AccessControl
  internal let configuration: Configuration
  internal let formats: ChannelFormats
  internal let socketOptions: WebSocketOptions

  /// - Parameter webSocket: the server's; the limit on messages is the channels' own.
  package init(_ configuration: Configuration, hub: MessageHub, access: any AccessControl, webSocket: WebSocketConfiguration) {
    self.configuration = configuration
    self.hub = hub
    self.access = access
    formats = ChannelFormats(webSocket.deflate, hub.configuration)
    var webSocket = webSocket
    webSocket.limits.message = ChannelSocket.commandBytes(hub.configuration)
    webSocket.limits.frame = webSocket.limits.message
    socketOptions = WebSocketOptions(webSocket, subprotocols: [Self.subprotocol])
  }

  package func add(to router: Router) {
    router.on(.post, "/channels/{name...}") { [unowned self] exchange, parameters in publish(exchange, parameters["name"]) }
    router.on(.get, "/channels/{name...}") { [unowned self] exchange, parameters in read(exchange, parameters["name"]) }
    router.on(.get, "/events") { [unowned self] exchange, _ in events(exchange, nil) }
    router.on(.get, "/poll") { [unowned self] exchange, _ in poll(exchange, nil) }
    router.on(.get, "/ws") { [unowned self] exchange, _ in connect(exchange) }
  }

  /// The last segment says what of a channel is meant.
  private func read(_ exchange: HTTPExchange, _ path: String) {
    guard let slash = path.lastIndex(of: "/") else {
      return exchange.refuse(.notFound, "expected /channels/\(path)/events, /poll, /history or /presence")
    }
    let name = String(path[..<slash])
    switch path[path.index(after: slash)...] {
    case "events": events(exchange, name)
    case "poll": poll(exchange, name)
    case "history": history(exchange, name)
    case "presence": presence(exchange, name)
    default: exchange.refuse(.notFound, "expected /channels/\(name)/events, /poll, /history or /presence")
    }
  }

  // MARK: Publishing

  private func publish(_ exchange: HTTPExchange, _ name: String) {
    let channel: ChannelName
    do throws(ParseError) { channel = try ChannelName(name) } catch { return exchange.refuse(.badRequest, "\(error)") }
    let admission = ChannelAdmission(exchange.accessRequest(.publish, on: name, transport: "http"), access, hub.users, in: exchange.context)
    permit(.publish, [channel], admission, exchange) { [self] in
      exchange.collectBody(limit: hub.configuration.messageBytes) { [self] body in
        let (fields, query) = (exchange.request.fields, exchange.request.target.query)
        do throws(ParseError) {
          var draft = try MessageContent.draft(
            body, contentType: fields.first("Content-Type"), event: query.first("event"), key: fields.first("Idempotency-Key"))
          draft.user = admission.user
          hub.publish(draft, to: channel) { result in Self.answer(exchange, result) { ["cursor": .string($0.description)] } }
        } catch { exchange.refuse(.badRequest, "\(error)") }
      }
    }
  }

  private static func answer<Value>(_ exchange: HTTPExchange, _ result: Result<Value, MessageError>, _ json: (Value) -> JSON) {
    switch result {
    case .success(let value): exchange.respond(.ok, json: json(value))
    case .failure(.busy): exchange.refuse(503, "\(MessageError.busy)")
    case .failure(let error) where error == .noPresence || error == .noRoom: exchange.refuse(.notFound, "\(error)")
    case .failure(.notSaid): exchange.refuse(.forbidden, "\(MessageError.notSaid)")
    case .failure(let error): exchange.refuse(507, "\(error)")
    }
  }

  // MARK: Reading

  private func events(_ exchange: HTTPExchange, _ name: String?) {
    let query = exchange.request.target.query
    let last = exchange.request.fields.first("Last-Event-ID") ?? query.first("lastEventId")
    if last == EventStreamFields.endID { return exchange.respond(.noContent) }
    open(exchange, name, cursor: last ?? query.first("since"), transport: "sse") { [self] channels, admission in
      let client = client(of: exchange, "sse", admission)
      if channels.isSingle, let only = channels.entries.first, let sink = exchange.sink {
        let stream = EventStream(exchange, client, admission, sink: sink, hub: hub, formats: formats, heartbeat: configuration.heartbeat)
        stream.begin(channels, only, retry: configuration.retry)
      } else {
        let stream = MergedEventStream(exchange, client, admission, hub: hub, heartbeat: configuration.heartbeat)
        stream.begin(channels, retry: configuration.retry)
      }
    }
  }

  private func poll(_ exchange: HTTPExchange, _ name: String?) {
    let query = exchange.request.target.query
    var limits = ChannelPoll.Limits(wait: configuration.poll, messages: configuration.batch)
    if let text = query.first("wait") {
      guard let seconds = Double(text), seconds >= 0 else { return exchange.refuse(.badRequest, "wait is a number of seconds") }
      limits.wait = min(limits.wait, .seconds(seconds))
    }
    open(exchange, name, cursor: query.first("since"), transport: "poll") { [self] channels, admission in
      let poll = ChannelPoll(exchange, client(of: exchange, "poll", admission), admission, channels, hub: hub, limits: limits)
      poll.begin()
    }
  }

  /// Reads what is asked for and lets those through who may subscribe.
  private func open(
    _ exchange: HTTPExchange, _ name: String?, cursor: String?, transport: String,
    then: @escaping (ChannelQuery, ChannelAdmission) -> Void
  ) {
    let channels: ChannelQuery
    do throws(ParseError) { channels = try ChannelQuery(exchange, name: name, cursor: cursor) } catch {
      return exchange.refuse(.badRequest, "\(error)")
    }
    let admission = ChannelAdmission(
      exchange.accessRequest(.subscribe, on: "", transport: transport), access, hub.users, in: exchange.context)
    permit(.subscribe, channels.entries.map(\.channel)[...], admission, exchange) { then(channels, admission) }
  }

  private func client(of exchange: HTTPExchange, _ transport: String, _ admission: ChannelAdmission) -> ChannelClient {
    ChannelClient(
      id: hub.nextClientID(), transport: transport, remote: exchange.remote, since: exchange.context.wallTime, user: admission.user,
      tokenID: admission.tokenID, userAgent: exchange.request.fields.first("User-Agent"))
  }

  /// Asks for each channel; the first refusal answers the request.
  private func permit(
    _ action: AccessAction, _ channels: ArraySlice<ChannelName>, _ admission: ChannelAdmission, _ exchange: HTTPExchange,
    then: @escaping () -> Void
  ) {
    guard let channel = channels.first else { return then() }
    admission.ask(action, on: channel) { [self] verdict in
      guard !exchange.isFinished else { return }
      switch verdict {
      case .allowed: permit(action, channels.dropFirst(), admission, exchange, then: then)
      case .denied(let reason, let needsCredentials): exchange.deny(reason, needsCredentials: needsCredentials)
      }
    }
  }

  // MARK: Questions

  private func history(_ exchange: HTTPExchange, _ name: String) {
    let query = exchange.request.target.query
    ask(exchange, name, .history) { [self] channel in
      let start: SubscriptionStart
      let limit = min(query.first("limit").flatMap { Int($0) } ?? 100, configuration.batch)
      do throws(ParseError) {
        start = try query.first("since").map { text throws(ParseError) in .after(try Cursor(text)) } ?? .last(limit)
      } catch { return exchange.refuse(.badRequest, "\(error)") }
      hub.history(of: channel, start, limit: max(0, limit)) { result in
        guard case .success(let history) = result else { return Self.answer(exchange, result) { _ in .null } }
        exchange.respond(.ok, ["Content-Type": "application/json", "Cache-Control": "no-store"], Slice(history.json(of: channel)))
      }
    }
  }

  private func presence(_ exchange: HTTPExchange, _ name: String) {
    ask(exchange, name, .presence) { [self] channel in
      hub.presence(of: channel) { result in
        guard case .success(let members) = result else { return Self.answer(exchange, result) { _ in .null } }
        exchange.respond(.ok, ["Content-Type": "application/json", "Cache-Control": "no-store"], Slice(MessageJSON.members(members)))
      }
    }
  }

  private func ask(_ exchange: HTTPExchange, _ name: String, _ action: AccessAction, then: @escaping (ChannelName) -> Void) {
    let channel: ChannelName
    do throws(ParseError) { channel = try ChannelName(name) } catch { return exchange.refuse(.badRequest, "\(error)") }
    let admission = ChannelAdmission(exchange.accessRequest(action, on: name, transport: "http"), access, hub.users, in: exchange.context)
    permit(action, [channel], admission, exchange) { then(channel) }
  }
}

extension MessageError {
  /// Of a subscription that was refused.
  internal var refusalStatus: HTTPStatus {
    if self == .noRoom { return .notFound }
    return isTemporary ? .serviceUnavailable : .forbidden
  }
}

extension MessageHub.History {
  /// `{"cursor": …, "lost": …, "messages": […]}`
  internal func json(of channel: ChannelName) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in write(of: channel, to: &json) }
    return json.bytes
  }

  internal func write(of channel: ChannelName, to json: inout JSONWriter) {
    json.member("cursor", cursor.description)
    json.member("lost", lost)
    json.member("messages") { json in
      json.array { json in
        for message in messages { MessageJSON.write(message, in: channel, Cursor(epoch: cursor.epoch, offset: message.offset), to: &json) }
      }
    }
  }
}

extension MessageJSON {
  /// `{"count": …, "members": […]}`
  internal static func members(_ members: [Member]) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in write(members, to: &json) }
    return json.bytes
  }

  internal static func write(_ members: [Member], to json: inout JSONWriter) {
    json.member("count", members.count)
    json.member("members") { json in json.array { json in for member in members { write(member, to: &json) } } }
  }
}

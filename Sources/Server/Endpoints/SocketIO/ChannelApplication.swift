internal import MartletCrypto
internal import MartletIO
package import MartletMessages
internal import MartletPrimitives
package import MartletSocketIO

/// Socket.IO's way to channels: a room that a client joins is the channel of that name, so what it hears is what every other
/// transport publishes there. In a namespace `/chat` the channels are those below `chat/`.
///
/// Clients emit `subscribe` (or `join`), `unsubscribe` (or `leave`), `publish`, `history`, `presence` and `refresh`, each with an
/// acknowledgement if they want the answer. A connection is recovered from the channels' history, so it survives a restart of the
/// server where the channels do.
package final class ChannelApplication: SocketIOApplication {
  private let namespaces: Set<String>
  private let hub: MessageHub
  private let access: any AccessControl
  private let images = SocketIOImages()
  private let batch: Int

  /// - Parameter batch: messages of one answer to a question for history.
  package init(_ namespaces: [String], hub: MessageHub, access: any AccessControl, batch: Int) {
    self.namespaces = Set(namespaces)
    self.hub = hub
    self.access = access
    self.batch = batch
  }

  // MARK: Connecting

  package func socketIsConnecting(_ socket: SocketIOSocket) {
    guard namespaces.contains(socket.namespace) else { return socket.refuse("Invalid namespace") }
    guard let engine = socket.engine else { return }
    var question = engine.opening
    question.transport = "socket.io"
    if let token = socket.auth["token"]?.stringValue { question.token = token }
    let admission = ChannelAdmission(question, access, hub.users, in: socket.context)
    let client = ChannelClient(
      id: hub.nextClientID(), transport: "socket.io", remote: question.remote, since: socket.context.wallTime, userAgent: question.userAgent
    )
    let subscriber = SocketIOSubscriber(socket, client, admission, images, hub: hub)
    socket.state = subscriber
    guard let recovery = socket.recovery, let entries = Self.entries(recovery.offset), !entries.isEmpty else {
      return accept(socket, pid: SocketIOSocket.newID())
    }
    recover(socket, subscriber, entries[...], pid: recovery.pid)
  }

  /// The public name follows from the private one, so that nobody takes over another's, and no server need remember either.
  private func accept(_ socket: SocketIOSocket, pid: String) {
    let id = Base64.encode(Array(Digest.hash(.sha256, Array(pid.utf8)).prefix(15)), .url)
    socket.accept(id: id, pid: pid)
  }

  private static func entries(_ offset: String) -> [ChannelQuery.Entry]? {
    guard let cursors = try? ChannelQuery.cursors(offset), cursors.count <= ChannelQuery.maximumChannels else { return nil }
    return cursors.map { ChannelQuery.Entry(channel: $0.key, start: .after($0.value)) }.sorted { $0.channel.text < $1.channel.text }
  }

  /// One channel after the other; unless all can be taken up again, the client begins anew and is told so by its new name.
  private func recover(_ socket: SocketIOSocket, _ subscriber: SocketIOSubscriber, _ entries: ArraySlice<ChannelQuery.Entry>, pid: String) {
    guard let entry = entries.first else {
      accept(socket, pid: pid)
      return subscriber.pumpLater()
    }
    subscriber.admission.ask(.subscribe, on: entry.channel) { [weak self, weak socket] verdict in
      guard let self, let socket, socket.state === subscriber else { return }
      guard case .allowed = verdict else { return self.beginAnew(socket, subscriber) }
      subscriber.didPermit()
      self.hub.subscribe(owner: subscriber, to: entry.channel, entry.start) { [weak socket] result in
        guard let socket, socket.state === subscriber else {
          if case .success(let subscription) = result { self.hub.remove(subscription) }
          return
        }
        guard case .success(let subscription) = result else { return self.beginAnew(socket, subscriber) }
        subscriber.add(subscription)
        if subscription.lostHistory { return self.beginAnew(socket, subscriber) }
        self.recover(socket, subscriber, entries.dropFirst(), pid: pid)
      }
    }
  }

  private func beginAnew(_ socket: SocketIOSocket, _ subscriber: SocketIOSubscriber) {
    for channel in subscriber.channels { if let subscription = subscriber.subscription(of: channel) { subscriber.leave(subscription) } }
    accept(socket, pid: SocketIOSocket.newID())
  }

  package func socketIsWritable(_ socket: SocketIOSocket) { (socket.state as? SocketIOSubscriber)?.pumpLater() }

  package func socketDidDisconnect(_ socket: SocketIOSocket, _ reason: String) {
    (socket.state as? SocketIOSubscriber)?.close()
    socket.state = nil
  }

  // MARK: Events

  package func socket(_ socket: SocketIOSocket, didReceive event: SocketIOEvent) {
    guard let subscriber = socket.state as? SocketIOSubscriber else { return }
    let request = Request(socket, event, subscriber)
    guard socket.keepsUp else { return request.fail(.busy, "what was asked for is not read") }
    do throws(ParseError) {
      switch event.name {
      case "subscribe", "join": try subscribe(request)
      case "unsubscribe", "leave": try unsubscribe(request)
      case "publish": try publish(request)
      case "history": try history(request)
      case "presence": try presence(request)
      case "refresh":
        guard let token = event.arguments.first?.stringValue else { throw .invalid("refresh takes a token", at: 0) }
        subscriber.admission.renew(token)
        request.answer([:])
      default: request.fail(.badCommand, "there is no event \"\(event.name.prefix(40))\"; docs/socketio.md lists them")
      }
    } catch { request.fail(.badCommand, "\(error)") }
  }

  /// An event of a client, and the way to its acknowledgement.
  private struct Request {
    let socket: SocketIOSocket
    let event: SocketIOEvent
    let subscriber: SocketIOSubscriber

    init(_ socket: SocketIOSocket, _ event: SocketIOEvent, _ subscriber: SocketIOSubscriber) {
      (self.socket, self.event, self.subscriber) = (socket, event, subscriber)
    }

    /// The first argument, in the socket's namespace.
    func channel() throws(ParseError) -> ChannelName {
      guard let text = event.arguments.first?.stringValue else { throw .invalid("the first argument is a channel's name", at: 0) }
      return try ChannelName(socket.namespace == "/" ? text : socket.namespace.dropFirst() + "/" + text)
    }

    func answer(_ members: JSON) { socket.acknowledge(event, [members]) }

    func fail(_ code: SocketErrorCode, _ message: String) {
      answer(["error": ["code": .int(Int64(code.rawValue)), "message": .string(message), "retry": .bool(code.mayRetry)]])
    }

    func fail(_ error: MessageError) { fail(SocketErrorCode(error), "\(error)") }
  }

  private func permit(_ request: Request, _ action: AccessAction, _ channel: ChannelName, then: @escaping () -> Void) {
    request.subscriber.admission.ask(action, on: channel) { verdict in
      request.subscriber.didPermit()
      switch verdict {
      case .allowed: then()
      case .denied(let reason, let isAnonymous): request.fail(isAnonymous ? .noCredentials : .forbidden, reason)
      }
    }
  }

  private func subscribe(_ request: Request) throws(ParseError) {
    let channel = try request.channel()
    let options = request.event.arguments.dropFirst().first ?? .null
    let start = try SocketCommand.start(options, otherwise: .now)
    let info = options["info"].map { Slice($0.serialized) } ?? Slice()
    guard info.count <= Member.maximumInfo else { throw .limit("bytes of \"info\"", maximum: Member.maximumInfo) }
    permit(request, .subscribe, channel) { [self] in
      let subscriber = request.subscriber
      guard subscriber.subscription(of: channel) == nil else { return request.fail(.alreadySubscribed) }
      let limit = min(hub.configuration.subscriptions, ChannelQuery.maximumChannels)
      guard subscriber.channels.count < limit else { return request.fail(.tooManySubscriptions(maximum: limit)) }
      hub.subscribe(owner: subscriber, to: channel, start) { [hub] result in
        switch result {
        case .failure(let error): request.fail(error)
        case .success(let subscription):
          guard request.socket.state === subscriber, subscriber.subscription(of: channel) == nil else { return hub.remove(subscription) }
          request.answer(
            ["channel": .string(channel.text), "cursor": .string(subscription.cursor.description), "lost": .bool(subscription.lostHistory)])
          subscriber.add(subscription)
          self.enter(subscription, request, watches: options["presence"] == .bool(true), info)
        }
      }
    }
  }

  private func enter(_ subscription: Subscription, _ request: Request, watches: Bool, _ info: Slice) {
    guard subscription.log.options.presence else { return }
    let client = request.subscriber.client
    try? hub.join(
      subscription,
      as: Member(id: client.id, user: client.user, info: info, transport: client.transport, since: request.socket.context.wallTime))
    guard watches else { return }
    request.subscriber.admission.ask(.presence, on: subscription.channel) { verdict in
      if case .allowed = verdict { subscription.watchesPresence = true }
    }
  }

  private func unsubscribe(_ request: Request) throws(ParseError) {
    guard let subscription = request.subscriber.subscription(of: try request.channel()) else { return request.fail(.notSubscribed) }
    request.subscriber.leave(subscription)
    request.answer([:])
  }

  private func publish(_ request: Request) throws(ParseError) {
    let (channel, arguments) = (try request.channel(), request.event.arguments)
    guard arguments.count > 1 else { throw .invalid("publish takes a channel, a message, and options if wanted", at: 0) }
    var draft = try SocketIOMessage.draft(arguments[1], request.event.attachments, options: arguments.count > 2 ? arguments[2] : nil)
    guard draft.payload.count <= hub.configuration.messageBytes else {
      return request.fail(.limit, "a message exceeds \(hub.configuration.messageBytes) bytes (channels.message)")
    }
    permit(request, .publish, channel) { [hub] in
      draft.user = request.subscriber.admission.user
      hub.publish(draft, to: channel) { result in
        switch result {
        case .failure(let error): request.fail(error)
        case .success(let cursor): request.answer(["cursor": .string(cursor.description)])
        }
      }
    }
  }

  private func history(_ request: Request) throws(ParseError) {
    let channel = try request.channel()
    let options = request.event.arguments.dropFirst().first ?? .null
    let limit = min(try SocketCommand.number(options, "limit") ?? 100, batch)
    let start = try SocketCommand.start(options, otherwise: .last(limit))
    permit(request, .history, channel) { [hub] in
      hub.history(of: channel, start, limit: limit) { result in
        switch result {
        case .failure(let error): request.fail(error)
        case .success(let history): request.answer((try? JSON(parsing: history.json(of: channel), limits: .answer)) ?? .null)
        }
      }
    }
  }

  private func presence(_ request: Request) throws(ParseError) {
    let channel = try request.channel()
    permit(request, .presence, channel) { [hub] in
      hub.presence(of: channel) { result in
        switch result {
        case .failure(let error): request.fail(error)
        case .success(let members):
          request.answer(["count": .int(Int64(members.count)), "members": .array(members.map(SocketIOMessage.member))])
        }
      }
    }
  }
}

extension JSONLimits {
  /// Of what this server wrote itself.
  fileprivate static var answer: JSONLimits {
    var limits = JSONLimits()
    (limits.bytes, limits.values) = (.max, .max)
    return limits
  }
}

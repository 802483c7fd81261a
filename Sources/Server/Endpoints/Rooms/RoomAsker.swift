internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletWeb

/// Who sends commands, by a request or over a connection: asks for the permissions that they take, and hands them to the room.
internal final class RoomAsker {
  private var question: AccessRequest
  private unowned let endpoint: RoomsEndpoint
  private let context: LoopContext
  /// The host that was asked, which the TURN server's URLs have too.
  private let authority: String?
  /// The last permission to be here.
  private var grant: RoomGrant?

  internal init(_ exchange: HTTPExchange, _ transport: String, _ endpoint: RoomsEndpoint) {
    question = exchange.accessRequest(.join, on: "", transport: transport)
    self.endpoint = endpoint
    context = exchange.context
    authority = exchange.request.authority
  }

  internal var remote: SocketAddress { question.remote }
  internal var userAgent: String? { question.userAgent }

  /// - Parameter key: of the participant that a connection is; otherwise the command has it.
  internal func perform(_ json: JSON, in room: RoomName, as key: ParticipantKey? = nil, then: @escaping RoomHub.Answer) {
    let fields = CommandFields(json)
    do throws(RoomError) {
      switch try fields.word("do") {
      case "join": try join(fields, room, then)
      case "resume": resume(try Self.key(fields, key), room, then)
      case "refresh": refresh(try Self.key(fields, key), try fields.word("token"), room, then)
      case "offer" where fields.json["to"] == nil:
        offer(try RoomOffer(fields), try Self.key(fields, key), room, then)
      case "view": view(try RoomView(fields), try Self.key(fields, key), then)
      case "ice": ice(try Self.key(fields, key), room, then)
      default:
        let key = try Self.key(fields, key)
        command(try RoomCommand(json), key, room, then)
      }
    } catch { then(.failure(error)) }
  }

  private static func key(_ fields: CommandFields, _ known: ParticipantKey?) throws(RoomError) -> ParticipantKey {
    if let known { return known }
    return ParticipantKey(try fields.word("key"))
  }

  // MARK: Permissions

  private typealias Verdict = (Result<RoomGrant, RoomError>) -> Void

  private func ask(_ action: AccessAction, on resource: String, isProbe: Bool = false, then: @escaping Verdict) {
    question.action = action
    question.resource = resource
    question.isProbe = isProbe
    endpoint.access.decide(question) { [context, question] decision in
      switch decision {
      case .denied(let reason, let isFinal):
        then(.failure(!isFinal && question.isAnonymous ? .noCredentials(reason) : .forbidden(reason)))
      case .allowed(_, .some(let expires), _) where expires <= context.wallTime:
        then(.failure(.forbidden("the permission has expired")))
      case .allowed(let user, let expires, let tokenID):
        var grant = RoomGrant()
        (grant.user, grant.expires, grant.tokenID) = (user, expires, tokenID)
        then(.success(grant))
      }
    }
  }

  /// To be in the room, and what else is allowed there.
  private func askToJoin(_ room: RoomName, as id: ParticipantID, then: @escaping Verdict) {
    ask(.join, on: room.chat.text) { [self] result in
      guard case .success(var grant) = result else { return then(result) }
      ask(.publish, on: "\(room.chat)/\(id)", isProbe: true) { [self] result in
        if case .failure = result { grant.mayPublish = false }
        ask(.admin, on: room.chat.text, isProbe: true) { result in
          if case .success = result { grant.isModerator = true }
          then(.success(grant))
        }
      }
    }
  }

  private func log(_ what: String, _ room: RoomName, _ error: RoomError) {
    context.log(.info, "rooms", "\(room): \(what) refused: \(error)", ["peer": "\(remote)"])
  }

  // MARK: Coming in

  private func join(_ fields: CommandFields, _ room: RoomName, _ then: @escaping RoomHub.Answer) throws(RoomError) {
    var entry = Room.Entry(
      id: ParticipantID(random: &endpoint.random), key: ParticipantKey(random: &endpoint.random), remote: remote)
    entry.name = try fields.name() ?? ""
    entry.info = try fields.info()
    entry.isMeshOnly = try fields.topologies() == [.mesh]
    entry.canRelay = fields.json["supernode"] != .bool(false)
    if let token = try fields.text("token", limit: 16 << 10) { question.token = token }
    askToJoin(room, as: entry.id) { [self] result in
      switch result {
      case .failure(let error):
        log("join", room, error)
        then(.failure(error))
      case .success(let grant):
        entry.grant = grant
        enter(entry, room, then)
      }
    }
  }

  private func enter(_ entry: Room.Entry, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    endpoint.hub.perform(.join(entry), in: room) { [self] result in
      if case .failure(let error) = result { log("join", room, error) }
      then(result.map { equip($0, entry.grant) })
    }
  }

  private func resume(_ key: ParticipantKey, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    endpoint.hub.perform(.resume(key), in: room) { [self] result in then(result.map { equip($0) }) }
  }

  /// With a server to reach the others by. Who comes back is known by what it was granted when it came.
  private func equip(_ greeting: JSON, _ grant: RoomGrant? = nil) -> JSON {
    guard greeting["ok"] == .bool(true), case .object(var object) = greeting, case .string(let id)? = greeting["participant"] else {
      return greeting
    }
    self.grant = grant ?? self.grant
    let server = endpoint.iceServer(authority, self.grant?.user ?? id, self.grant?.expires, self.grant?.tokenID)
    object["iceServers"] = .array([server].compactMap(\.self))
    return .object(object)
  }

  private func ice(_ key: ParticipantKey, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    endpoint.hub.perform(.resume(key), in: room) { [self] result in
      then(result.map { ["ok": true, "iceServers": equip($0)["iceServers"] ?? []] })
    }
  }

  private func refresh(_ key: ParticipantKey, _ token: String, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    endpoint.hub.perform(.identify(key, offers: false), in: room) { [self] result in
      guard case .success(let json) = result, case .string(let id)? = json["participant"] else { return then(result) }
      question.token = token
      askToJoin(room, as: ParticipantID(id)) { [self] result in
        switch result {
        case .failure(let error): then(.failure(error))
        case .success(let grant):
          self.grant = grant
          endpoint.hub.perform(.refresh(key, grant), in: room, then: then)
        }
      }
    }
  }

  // MARK: Media

  private func offer(_ offer: RoomOffer, _ key: ParticipantKey, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    endpoint.hub.perform(.identify(key, offers: true), in: room) { [context, remote, userAgent] result in
      guard case .success(let json) = result, case .string(let id)? = json["participant"] else { return then(result) }
      let identity = RoomPeer.Identity(
        room: room, participant: ParticipantID(id), key: key, mayPublish: json["publish"] == .bool(true),
        silenced: TrackSource.sources(json["silenced"]))
      let asker = RoomMedia.Asker(identity: identity, remote: remote, userAgent: userAgent)
      context.service(RoomMedia.self).answer(offer, by: asker, then: then)
    }
  }

  private func view(_ view: RoomView, _ key: ParticipantKey, _ then: @escaping RoomHub.Answer) {
    context.service(RoomMedia.self).show(view, to: key, then: then)
  }

  // MARK: Commands

  private func command(_ command: RoomCommand, _ key: ParticipantKey, _ room: RoomName, _ then: @escaping RoomHub.Answer) {
    guard case .moderation = command else {
      return endpoint.hub.perform(.command(key, command, isModerator: false), in: room, then: then)
    }
    ask(.admin, on: room.chat.text) { [endpoint] result in
      if case .failure(let error) = result { return then(.failure(error)) }
      endpoint.hub.perform(.command(key, command, isModerator: true), in: room, then: then)
    }
  }
}

internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletWeb

/// One connection of `/skyrtc`: a participant that speaks SkyRTC. It has left when its connection ends.
internal final class SkyRTCSocket: RoomConnection {
  internal static let transport = "skyrtc"
  internal let session: WebSocketSession
  internal let asker: RoomAsker
  internal unowned let endpoint: RoomsEndpoint
  internal let number: Int
  internal let since: WallTime
  internal private(set) lazy var listening = RoomListening(self, messages: endpoint.messages, in: session.context)
  private var dialect: SkyRTCDialect?
  private var room: RoomName?
  private var participant: (id: String, key: ParticipantKey)?
  /// The others, for what is sent to nobody in particular.
  private var others: [String] = []
  /// What came before the room had answered.
  private var early: [(name: String, data: JSON)] = []
  internal private(set) var pending = 0

  private static let maximumEarly = 64

  internal init(_ session: WebSocketSession, _ asker: RoomAsker, _ endpoint: RoomsEndpoint) {
    self.session = session
    self.asker = asker
    self.endpoint = endpoint
    number = endpoint.messages.nextClientNumber()
    since = session.context.wallTime
  }

  internal var channels: [ChannelName] { participant == nil ? [] : [room?.chat].compactMap(\.self) }

  // MARK: What the client says

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    guard let json = try? RoomsEndpoint.parse(payload), let (name, data, dialect) = SkyRTCDialect.parse(json) else {
      return fail(.badCommand("expected {\"eventName\": …, \"data\": …}"))
    }
    if self.dialect == nil { self.dialect = dialect }
    guard takesCommands else {
      return fail(.busy("too much is under way, or is not read"))
    }
    if name == "join" { return join(data["room"]) }
    // Pages for two, which know of no rooms, begin with an offer.
    if room == nil { join(nil) }
    guard participant != nil else {
      if early.count < Self.maximumEarly { early.append((name, data)) }
      return
    }
    perform(name, data)
  }

  private func perform(_ name: String, _ data: JSON) {
    if name == "leave" || name == "remove_peer" { return leave() }
    if case .string(let to)? = data["socketId"] { return send(SkyRTCDialect.command(name, data, to: to)) }
    for other in others { send(SkyRTCDialect.command(name, data, to: other)) }
  }

  private func send(_ command: JSON) {
    guard let room, let participant else { return }
    pending += 1
    asker.perform(command, in: room, as: participant.key) { [weak self] result in
      self?.pending -= 1
      // One that has just left.
      if case .failure(let error) = result, error.code != "no_participant" { self?.fail(error) }
    }
  }

  private func join(_ name: JSON?) {
    guard room == nil else { return fail(.badCommand("this connection is in a room already")) }
    var text = SkyRTCDialect.defaultRoom
    if case .string(let given)? = name, !given.isEmpty { text = given }
    do throws(ParseError) { room = try RoomName(text) } catch { return fail(.badCommand("\"room\": \(error)")) }
    guard let room else { return }
    asker.perform(["do": "join", "topologies": ["mesh"]], in: room) { [weak self] result in
      switch result {
      case .success(let greeting): self?.enter(greeting)
      case .failure(let error):
        self?.room = nil
        self?.fail(error)
      }
    }
  }

  private func enter(_ greeting: JSON) {
    guard case .string(let id)? = greeting["participant"], case .string(let key)? = greeting["key"] else { return }
    participant = (id, ParticipantKey(key))
    // It may have gone while the room was asked.
    guard session.isOpen else { return leave() }
    guard case .array(let there)? = greeting["participants"] else { return }
    others = there.compactMap { if case .string(let id)? = $0["id"] { id } else { nil } }
    if let dialect { say(dialect.peers(others.map { .string($0) }, you: .string(id))) }
    listening.begin(greeting)
    for (name, data) in exchange(&early, with: []) { perform(name, data) }
  }

  private func leave() {
    listening.end()
    if participant != nil { send(["do": "leave"]) }
    participant = nil
    room = nil
    others = []
  }

  // MARK: What it hears

  private func fail(_ error: RoomError) { say((dialect ?? SkyRTCDialect(key: "eventName", prefix: "_")).event("error", error.json)) }

  internal func hear(_ message: Message, of place: RoomListening.Place, at: String) {
    guard place != .chat, let dialect, let event = try? JSON(parsing: message.payload.bytes) else { return }
    switch event["event"] {
    case "joined": if case .string(let id)? = event["participant"]?["id"] { others.append(id) }
    case "left": if case .string(let id)? = event["participant"] { others.removeAll { $0 == id } }
    case "kicked", "moved", "expired": return kick(.administrator)
    default: break
    }
    if let translated = dialect.translate(event) { say(translated) }
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    leave()
    endpoint.messages.remove(self)
  }
}

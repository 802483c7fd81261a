internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletWeb

/// One connection of `/rooms/NAME`: commands come as JSON text frames; once it is a participant, what happens comes by itself.
internal final class RoomSocket: RoomConnection {
  internal static let transport = "room"
  internal let session: WebSocketSession
  internal let asker: RoomAsker
  private let room: RoomName
  internal unowned let endpoint: RoomsEndpoint
  internal let number: Int
  internal let since: WallTime
  private var participant: ParticipantKey?
  internal private(set) lazy var listening = RoomListening(self, messages: endpoint.messages, in: session.context)
  internal private(set) var pending = 0

  internal init(_ session: WebSocketSession, _ asker: RoomAsker, _ room: RoomName, _ endpoint: RoomsEndpoint) {
    self.session = session
    self.asker = asker
    self.room = room
    self.endpoint = endpoint
    number = endpoint.messages.nextClientNumber()
    since = session.context.wallTime
  }

  internal var channels: [ChannelName] { participant == nil ? [] : [room.chat] }

  // MARK: Commands

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    var id: JSON?
    do throws(RoomError) {
      guard kind == .text else { throw .badCommand("commands are text") }
      let json = try RoomsEndpoint.parse(payload)
      id = json["id"]
      guard takesCommands else {
        throw .busy("too many commands are under way, or their answers are not read")
      }
      perform(json, id)
    } catch { answer(id, .failure(error)) }
  }

  private func perform(_ json: JSON, _ id: JSON?) {
    pending += 1
    asker.perform(json, in: room, as: json["key"] == nil ? participant : nil) { [weak self] result in
      guard let self else { return }
      self.pending -= 1
      self.answer(id, result)
      if case .success(let greeting) = result { self.enter(greeting, since: json["since"]) }
    }
  }

  private func answer(_ id: JSON?, _ result: Result<JSON, RoomError>) {
    let json: JSON
    switch result {
    case .success(let success): json = success
    case .failure(let error): json = error.json
    }
    guard let id, case .object(var object) = json else {
      if case .failure = result { say(json) }
      return
    }
    object["id"] = id
    say(.object(object))
  }

  // MARK: What happens

  /// The connection is that of a participant from here on; another one that it was before is left alone.
  private func enter(_ greeting: JSON, since: JSON?) {
    guard case .string(let key)? = greeting["key"], session.isOpen else { return }
    participant = ParticipantKey(key)
    listening.begin(greeting, since: since)
  }

  internal func hear(_ message: Message, of place: RoomListening.Place, at: String) { say(Self.event(message, of: place, at: at)) }

  private static func event(_ message: Message, of place: RoomListening.Place, at: String) -> JSON {
    var object = JSON.Object()
    object["at"] = .string(at)
    if place == .chat { object["event"] = "message" }
    let content = content(of: message)
    if place != .chat || content["from"] != nil, case .object(let fields) = content {
      for member in fields.members { object[member.name] = member.value }
    } else {
      // From outside the room.
      if let user = message.draft.user { object["user"] = .string(user) }
      object["data"] = content
    }
    if place == .chat { object["time"] = .int(message.time.milliseconds) }
    return .object(object)
  }

  private static func content(of message: Message) -> JSON {
    let text = JSON.string(String(repairing: message.payload.bytes))
    return message.draft.isJSON ? (try? JSON(parsing: message.payload.bytes)) ?? text : text
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    listening.end()
    participant = nil
    endpoint.messages.remove(self)
  }
}

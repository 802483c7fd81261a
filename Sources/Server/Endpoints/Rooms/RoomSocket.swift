internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletWeb

/// One connection of `/rooms/NAME`: commands come as JSON text frames; once it is a participant, what happens comes by itself.
internal final class RoomSocket: ChannelSession, SubscriptionOwner, WebSocketHandler {
  private let session: WebSocketSession
  private let asker: RoomAsker
  private let room: RoomName
  private unowned let endpoint: RoomsEndpoint
  private let number: Int
  private let since: WallTime
  private var participant: ParticipantKey?
  /// By what they are for; their places are what `at` says.
  private var subscriptions: [Place: Subscription] = [:]
  private var isPumping = false
  /// Commands whose answer is under way.
  private var pending = 0

  private enum Place: Int, CaseIterable { case events, inbox, chat }

  private static let maximumPending = 64
  /// While so much waits for a client to read it, nothing more is written.
  private static let maximumBuffered = 512 << 10
  /// Messages sent before the others of the worker have their turn.
  private static let run = 64

  internal init(_ session: WebSocketSession, _ asker: RoomAsker, _ room: RoomName, _ endpoint: RoomsEndpoint) {
    self.session = session
    self.asker = asker
    self.room = room
    self.endpoint = endpoint
    number = endpoint.messages.nextClientNumber()
    since = session.context.wallTime
  }

  private var messages: MessageHub { endpoint.messages }

  internal var client: ChannelClient {
    ChannelClient(
      id: messages.clientID(of: number), transport: "room", remote: asker.remote, since: since, userAgent: asker.userAgent)
  }

  internal var channels: [ChannelName] { participant == nil ? [] : [room.chat] }

  // MARK: Commands

  internal func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    var id: JSON?
    do throws(RoomError) {
      guard kind == .text else { throw .badCommand("commands are text") }
      let json = try RoomsEndpoint.parse(payload)
      id = json["id"]
      guard pending < Self.maximumPending, session.bufferedAmount < Self.maximumBuffered else {
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

  /// A client that asks faster than it reads is made to wait.
  private func say(_ json: JSON) { if !session.send(.text, Slice(json.serialized)) { session.pauseReading() } }

  internal func webSocketIsWritable(_ session: WebSocketSession) {
    session.resumeReading()
    pumpLater()
  }

  // MARK: What happens

  /// The connection is that of a participant from here on; another one that it was before is left alone.
  private func enter(_ greeting: JSON, since: JSON?) {
    guard case .string(let key)? = greeting["key"], let channels = greeting["channels"], session.isOpen else { return }
    endSubscriptions()
    participant = ParticipantKey(key)
    let resumed = Self.places(since)
    for place in Place.allCases {
      let channel = channels["\(place)"]
      guard case .string(let text)? = channel?["name"], let name = try? ChannelName(text) else { continue }
      subscribe(place, name, Self.start(channel?["cursor"], resumed?[place.rawValue]))
    }
  }

  private static func places(_ since: JSON?) -> [Int]? {
    guard case .string(let text)? = since else { return nil }
    let places = text.split(separator: ".").compactMap { Int($0) }
    return places.count == Place.allCases.count ? places : nil
  }

  /// Where it stopped; who is new hears what follows upon the greeting, and of the chat what is said from now on.
  private static func start(_ cursor: JSON?, _ resumed: Int?) -> SubscriptionStart {
    guard case .string(let text)? = cursor, let cursor = try? Cursor(text) else { return .now }
    return .after(Cursor(epoch: cursor.epoch, offset: min(resumed ?? cursor.offset, cursor.offset)))
  }

  private func subscribe(_ place: Place, _ name: ChannelName, _ start: SubscriptionStart) {
    let key = participant
    messages.subscribe(owner: self, to: name, start) { [weak self] result in
      guard let self, case .success(let subscription) = result else { return }
      guard self.session.isOpen, self.participant == key, self.subscriptions[place] == nil else {
        return self.messages.remove(subscription)
      }
      self.subscriptions[place] = subscription
      if subscription.hasMore { self.pumpLater() }
    }
  }

  internal func subscriptionIsReady(_ subscription: Subscription) { pumpLater() }
  internal func subscriptionFellBehind(_ subscription: Subscription) { kick(.slow) }

  private func pumpLater() {
    guard !isPumping else { return }
    isPumping = true
    session.context.atEndOfTurn { [weak self] in self?.pump() }
  }

  private func pump() {
    isPumping = false
    var left = Self.run
    while left > 0, session.isOpen, session.bufferedAmount < Self.maximumBuffered,
      let (place, subscription) = subscriptions.first(where: { $0.value.hasMore })
    {
      let taken = subscription.take(limit: 1)
      guard let message = taken.first else { return kick(.slow) }
      left -= 1
      say(event(message, of: place))
    }
    if left == 0 { pumpLater() }
  }

  private func event(_ message: Message, of place: Place) -> JSON {
    var object = JSON.Object()
    object["at"] = .string(Place.allCases.map { "\(subscriptions[$0]?.cursor.offset ?? 0)" }.joined(separator: "."))
    let content = try? JSON(parsing: message.payload.bytes)
    if place == .chat { object["event"] = "message" }
    if case .object(let fields)? = content {
      for member in fields.members where object[member.name] == nil { object[member.name] = member.value }
    } else {
      object["data"] = content ?? .string(String(repairing: message.payload.bytes))
    }
    if place == .chat { object["time"] = .int(message.time.milliseconds) }
    return .object(object)
  }

  // MARK: ChannelSession

  internal func kick(_ reason: ChannelKick) { session.close(ChannelCloseCode.of(reason), reason: EventStreamFields.sentence(reason)) }

  internal func sweep(now: Instant, stuck: TimeSpan) { if subscriptions.values.contains(where: \.isBehind) { kick(.slow) } }

  private func endSubscriptions() {
    let all = subscriptions.values
    subscriptions = [:]
    for subscription in all { messages.remove(subscription) }
  }

  internal func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    endSubscriptions()
    participant = nil
    messages.remove(self)
  }
}

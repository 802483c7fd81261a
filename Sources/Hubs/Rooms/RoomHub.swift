package import MartletIO
package import MartletMessages
package import MartletPrimitives

/// The rooms of one worker: those whose home it is, and the way to the others.
///
/// A room is a state machine whose outputs are messages of channels: `events` for all, an inbox for each participant. Its channels have
/// the same home as the room itself, so what a participant is told when it joins and what the channels say from then on fit together
/// without a gap. Whatever transport channels have, rooms have.
package final class RoomHub {
  package typealias Answer = (Result<JSON, RoomError>) -> Void

  /// What a worker asks of a room's home.
  package enum Request: Sendable {
    case join(Room.Entry)
    case resume(ParticipantKey)
    case command(ParticipantKey, RoomCommand, isModerator: Bool)
    /// Who has this key: `{"participant": ID, "publish": BOOL, "silenced": [SOURCE]}`.
    /// - Parameter offers: to ask for an answer of the server.
    case identify(ParticipantKey, offers: Bool)
    /// It speaks, so loud, or does not any more.
    case speech(ParticipantID, loudness: Int?)
    /// What of its pictures is watched.
    case wanted(ParticipantID, [TrackWish], session: String)
    /// What it publishes through the server now.
    case tracks(ParticipantID, [RoomTrack])
    case refresh(ParticipantKey, RoomGrant)
    /// By an administrator.
    case moderate(RoomCommand.Moderation)
    /// By an administrator, of a room that is there.
    case configure(RoomOptions.Change)
    /// By an administrator: a room that stays, with these options beside the configuration's.
    case keep(RoomOptions.Change)
  }

  package let configuration: RoomConfiguration
  private let messages: MessageHub
  private let loops: [EventLoop]
  private let context: LoopContext
  /// The server passes media.
  private let hasServer: Bool
  private let census: RoomCensus
  /// Whether somebody publishes the stream of this path.
  private let isPublished: (String) -> Bool
  private var rooms: [RoomName: Room] = [:]
  /// Over the life of the worker.
  package private(set) var joins = 0, refusals = 0
  /// For webhooks, and the ends of media.
  package var didChange: ((Change) -> Void)?

  /// What happened to a room whose home is here.
  package enum Change {
    case began(RoomName)
    case joined(RoomName, Participant)
    case left(RoomName, Participant, DepartureReason)
    case spoke(RoomName, [ParticipantID])
    case ended(RoomName)
    /// What of it is silenced is no longer what it was.
    case silenced(RoomName, Participant)
    /// It may not publish any more.
    case restricted(RoomName, Participant)
    case recording(RoomName, Bool)
  }

  /// - Parameter census: of all workers.
  package init(
    _ configuration: RoomConfiguration, messages: MessageHub, loops: [EventLoop], hasServer: Bool, census: RoomCensus,
    isPublished: @escaping (String) -> Bool, in context: LoopContext
  ) {
    self.configuration = configuration
    self.messages = messages
    self.loops = loops
    self.hasServer = hasServer
    self.census = census
    self.isPublished = isPublished
    self.context = context
    sweepLater()
  }

  /// Those whose home is here.
  package var localRooms: [Room] { Array(rooms.values) }

  // MARK: The way to a room

  /// Calls `then` at once where the room is of this worker.
  package func perform(_ request: Request, in room: RoomName, then: @escaping Answer) {
    let home = messages.homeLoop(of: room.chat)
    guard home !== context.loop else { return then(performHere(request, in: room)) }
    context.ask(home) { context, answer in
      answer(context.service(RoomHub.self).performHere(request, in: room))
    } then: {
      then($0)
    }
  }

  private func performHere(_ request: Request, in name: RoomName) -> Result<JSON, RoomError> {
    do throws(RoomError) {
      let answer = try decide(request, in: name)
      drain(name)
      return .success(answer)
    } catch {
      refusals += 1
      drain(name)
      return .failure(error)
    }
  }

  private func decide(_ request: Request, in name: RoomName) throws(RoomError) -> JSON {
    let now = context.now
    switch request {
    case .join(let entry): return try join(entry, in: name, now)
    case .resume(let key):
      let index = try change(name) { room throws(RoomError) in try room.hear(key, now: now) }
      guard let room = rooms[name] else { throw .gone }
      return try greeting(room.participants[index], room)
    case .command(let key, let command, let isModerator):
      try change(name) { room throws(RoomError) in try room.perform(command, by: key, isModerator: isModerator, now: now) }
    case .identify(let key, let offers):
      let index = try change(name) { room throws(RoomError) in
        offers ? try room.hearOffer(key, now: now) : try room.hear(key, now: now)
      }
      guard let participant = rooms[name]?.participants[index] else { throw .gone }
      return [
        "participant": .string(participant.id.text), "publish": .bool(rooms[name]?.may(participant).contains(.publish) ?? false),
        "silenced": rooms[name]?.silenced(participant.id) ?? [],
      ]
    case .tracks(let id, let tracks): try change(name) { room throws(RoomError) in room.setTracks(tracks, of: id) }
    case .wanted(let id, let wishes, let session):
      try change(name) { room throws(RoomError) in room.tellWanted(wishes, session: session, to: id) }
    case .speech(let id, let loudness): try change(name) { room throws(RoomError) in room.setSpeech(loudness, of: id) }
    case .refresh(let key, let grant): try change(name) { room throws(RoomError) in try room.refresh(key, grant, now: now) }
    case .moderate(let moderation): try change(name) { room throws(RoomError) in try room.moderate(moderation) }
    case .configure(let options):
      try change(name) { room throws(RoomError) in room.configure(room.options.applying(options)) }
      return rooms[name]?.json ?? .null
    case .keep(let options): return try keep(name, options)
    }
    return ["ok": true]
  }

  private func change<Value>(_ name: RoomName, _ body: (inout Room) throws(RoomError) -> Value) throws(RoomError) -> Value {
    guard var room = rooms.removeValue(forKey: name) else { throw .gone }
    defer { rooms[name] = room }
    return try body(&room)
  }

  /// Makes the room where it is not there.
  private func open(_ name: RoomName) throws(RoomError) {
    guard rooms[name] == nil else { return }
    guard census.openRoom() else { throw .busy("there are \(census.maximum) rooms already (rooms.maximum)") }
    rooms[name] = Room(name, configuration, hasServer: hasServer, created: context.wallTime)
  }

  /// Lets the room go that nobody is in.
  private func closeIfOver(_ name: RoomName) {
    guard let room = rooms[name], room.isOver else { return }
    rooms[name] = nil
    census.closeRoom()
    messages.discard(name.events)
    if room.options.isRecorded { didChange?(.recording(name, false)) }
  }

  private func keep(_ name: RoomName, _ options: RoomOptions.Change) throws(RoomError) -> JSON {
    try open(name)
    return try change(name) { room in
      room.isKept = true
      room.configure(configuration.options(of: name).applying(options))
      return room.json
    }
  }

  // MARK: Joining

  private func join(_ entry: Room.Entry, in name: RoomName, _ now: Instant) throws(RoomError) -> JSON {
    try open(name)
    let address = "\(entry.remote.ip.origin)"
    guard entry.remote.ip.isLoopback || census.addresses.enter(address) else {
      throw .busy("\(address) has \(configuration.perAddress) participants already (rooms.per_address)")
    }
    let entrance: Room.Entrance
    do throws(RoomError) {
      try open(entry, in: name)
      let time = context.wallTime
      entrance = try change(name) { room throws(RoomError) in try room.join(entry, now: now, at: time) }
    } catch {
      release(entry.key, entry.remote, in: name)
      throw error
    }
    joins += 1
    drain(name)
    if entrance == .known { release(entry.key, entry.remote, in: name) }
    if entry.isStream { return ["ok": true, "silenced": rooms[name]?.silenced(entry.id) ?? []] }
    guard entrance == .inside else { return try waiting(entry, in: name) }
    guard let room = rooms[name], let participant = room.participant(entry.key) else { throw .gone }
    return try greeting(participant, room)
  }

  /// For the lobby: the inbox will say `admitted`.
  private func waiting(_ entry: Room.Entry, in name: RoomName) throws(RoomError) -> JSON {
    guard let inbox = name.inbox(entry.key), let cursor = messages.cursor(of: inbox) else { throw .gone }
    return [
      "ok": false, "code": .string(RoomError.waiting.code), "error": .string("\(RoomError.waiting)"),
      "participant": .string(entry.id.text), "key": .string(entry.key.text),
      "channels": ["inbox": ["name": .string(inbox.text), "cursor": .string(cursor.description)]],
    ]
  }

  /// The channels that it will hear; those of events stay as long as the room.
  private func open(_ entry: Room.Entry, in name: RoomName) throws(RoomError) {
    for channel in [name.events, entry.isStream ? name.events : name.inbox(entry.key)] {
      guard let channel, messages.open(channel) else { throw .busy("there are too many channels (channels.maximum)") }
    }
  }

  /// - Parameter hasLastWords: it was told why.
  private func release(_ key: ParticipantKey, _ remote: SocketAddress, in name: RoomName, hasLastWords: Bool = false) {
    if !remote.ip.isLoopback { census.addresses.leave("\(remote.ip.origin)") }
    if let inbox = name.inbox(key) { messages.discard(inbox, hasLastWords: hasLastWords) }
  }

  /// What somebody is told who comes in, or comes back.
  private func greeting(_ participant: Participant, _ room: Room) throws(RoomError) -> JSON {
    guard let inbox = room.name.inbox(participant.key), let own = messages.cursor(of: inbox),
      let events = messages.cursor(of: room.name.events)
    else { throw .gone }
    var chat = JSON.Object()
    chat["name"] = .string(room.name.chat.text)
    // Where it is in memory already: nothing is behind the beginning of one that is not.
    if let cursor = messages.cursor(of: room.name.chat) { chat["cursor"] = .string(cursor.description) }
    var object = JSON.Object()
    object["ok"] = true
    object["participant"] = .string(participant.id.text)
    object["key"] = .string(participant.key.text)
    object["room"] = room.json
    object["participants"] = .array(room.participants.filter { $0.id != participant.id }.map(\.json))
    object["channels"] = [
      "events": ["name": .string(room.name.events.text), "cursor": .string(events.description)],
      "inbox": ["name": .string(inbox.text), "cursor": .string(own.description)],
      "chat": .object(chat),
    ]
    object["media"] = .bool(hasServer)
    object["may"] = .array(room.may(participant).map { .string($0.rawValue) })
    return .object(object)
  }

  // MARK: What becomes of it

  private func drain(_ name: RoomName) {
    while let output = rooms[name]?.pollOutput() { deliver(output, of: name) }
    closeIfOver(name)
  }

  private func deliver(_ output: Room.Output, of name: RoomName) {
    switch output {
    case .toAll(let event): publish(event, to: name.events)
    case .to(let key, let event): if let inbox = name.inbox(key) { publish(event, to: inbox) }
    case .say(let id, let data, let once): say(data, once, by: id, in: name)
    case .joined(let participant):
      context.log(
        .info, "rooms", "\(name): \(participant.id) joins\(participant.name.isEmpty ? "" : " as \(participant.name)")",
        ["peer": "\(participant.remote)"])
      if rooms[name]?.participants.count == 1 { didChange?(.began(name)) }
      didChange?(.joined(name, participant))
    case .departed(let participant, let reason):
      context.log(.info, "rooms", "\(name): \(participant.id) is gone: \(reason.rawValue)", ["peer": "\(participant.remote)"])
      release(participant.key, participant.remote, in: name, hasLastWords: reason != .left && reason != .timeout)
      didChange?(.left(name, participant, reason))
      if rooms[name]?.participants.isEmpty == true { didChange?(.ended(name)) }
    case .spoke(let speakers): didChange?(.spoke(name, speakers))
    case .turnedAway(let participant): release(participant.key, participant.remote, in: name, hasLastWords: true)
    case .silenced(let participant): didChange?(.silenced(name, participant))
    case .restricted(let participant): didChange?(.restricted(name, participant))
    case .configured(let options): didChange?(.recording(name, options.isRecorded))
    }
  }

  private func publish(_ event: RoomEvent, to channel: ChannelName) {
    let draft = Draft(.text, Slice(event.json.serialized), contentType: "application/json", event: event.name)
    messages.publish(draft, to: channel) { _ in }
  }

  private func say(_ data: JSON, _ once: String?, by id: ParticipantID, in name: RoomName) {
    guard let participant = rooms[name]?.participants.first(where: { $0.id == id }) else { return }
    let content: JSON = ["from": .string(id.text), "name": .string(participant.name), "data": data]
    var draft = Draft(.text, Slice(content.serialized), contentType: "application/json", event: "message")
    draft.user = participant.user
    // Of this participant alone: no key that a publisher may give has a line break.
    draft.key = once.map { "\(id)\n\($0)" }
    messages.say(draft, in: name.chat)
  }

  private func sweepLater() {
    context.schedule(after: .seconds(1)) { [weak self] in
      guard let self else { return }
      let (now, time) = (self.context.now, self.context.wallTime)
      for name in Array(self.rooms.keys) {
        self.rooms[name]?.sweep(now: now, at: time) { self.isPresent($0, in: name) }
        self.drain(name)
      }
      self.sweepLater()
    }
  }

  private func isPresent(_ participant: Participant, in name: RoomName) -> Bool {
    if participant.isStream { return isPublished("\(name.chat)/\(participant.id)") }
    return name.inbox(participant.key).map(messages.isWatched) ?? false
  }

  /// Lets a room of this worker end with its last participant.
  /// - Returns: whether it was kept.
  package func giveUp(_ room: String) -> Bool {
    guard let name = try? RoomName(room), rooms[name]?.isKept == true else { return false }
    rooms[name]?.isKept = false
    drain(name)
    return true
  }

  /// Those of a user, or with a token that was revoked, on this worker.
  /// - Returns: how many.
  @discardableResult package func remove(
    _ reason: DepartureReason, from room: String? = nil, where isMeant: (Participant) -> Bool = { _ in true }
  ) -> Int {
    var count = 0
    for name in Array(rooms.keys) where room == nil || name.text == room {
      count += rooms[name]?.remove(reason, where: isMeant) ?? 0
      drain(name)
    }
    return count
  }
}

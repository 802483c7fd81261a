internal import MartletPrimitives
public import MartletWebRTC

/// A place to meet: `joinRoom` of martlet.js for programs. Whatever topology the room has (each to each, by way of one of them, or by way
/// of the server), who is in it, their tracks and what they send are the same; where it changes, new connections are made, and the old
/// ones end when all flows through the new ones.
///
///     let room = try await Room.join("lobby", at: "https://example.org", name: "Echo")
///     for await event in room.events {
///       if case .message(let message) = event, message.from != room.id { try await room.say("You said: \(message.content.text)") }
///     }
///
/// When the way to the server breaks it comes back by itself, as the same participant where that is in time (`rooms.grace`). A program is
/// no supernode: it says so when it joins. `leave` ends it; so does releasing the room.
public final class Room: Sendable {
  public let name: String
  /// What happens, in order, for one task. Beyond 10,000 that nobody has read the oldest go; `participants` are those of now at all times.
  public let events: PeerSequence<Event>
  private let session: RoomSession

  private init(_ name: String, _ session: RoomSession, _ events: PeerSequence<Event>) {
    (self.name, self.session, self.events) = (name, session, events)
  }

  deinit { Task { [session] in await session.leave() } }

  /// Joins, and returns when the server has let us in.
  /// - Parameters:
  ///   - name: of the room, one segment of a URL, at most 128 bytes.
  ///   - url: of the server: `http[s]://HOST[:PORT]` or `ws[s]://…`, with a path where it is served below one.
  /// - Throws: the server's reason, `badCommand` for what cannot be used, `network` when there is no connection, `refused` by who guards the lobby.
  public static func join(_ name: String, at url: String, _ options: Options = Options()) async throws(Failure) -> Room {
    do throws(PeerError) { try options.media.check() } catch { throw Failure(.badCommand, error.description) }
    let events = PeerSequence<Event>(.dropsOldest(10_000))
    let session = RoomSession(try RoomSignaling(name, at: url, options), options, events)
    try await session.enter()
    return Room(name, session, events)
  }

  /// With a name for the others, what they see besides (JSON text), and a token.
  public static func join(
    _ room: String, at url: String, name: String, info: String? = nil, token: String? = nil
  ) async throws(Failure) -> Room {
    var options = Options()
    (options.name, options.info) = (name, info)
    if let token { options.token = { token } }
    return try await join(room, at: url, options)
  }

  // MARK: Who is here

  /// Of this participant. Another one after an absence that was too long for the server.
  public var id: String { get async { await session.me.id } }
  public var me: Participant { get async { await session.me } }
  /// The others, in the order in which they came.
  public var participants: [Participant] { get async { await session.participants } }
  public var topology: Topology { get async { await session.topology } }
  public var state: State { get async { await session.state } }

  // MARK: Words

  /// Says something in the chat, for everybody, and returns when the server has it.
  public func say(_ text: String) async throws(Failure) { try await say(.text(text)) }

  public func say(_ content: Content) async throws(Failure) {
    _ = try await session.ask(["do": "say", "data": try content.value])
  }

  /// Sends something to one participant: over a data channel, by way of the server where there is none. Waits while much is on its way.
  public func send(_ text: String, to participant: String) async throws(Failure) { try await send(.text(text), to: participant) }

  public func send(_ content: Content, to participant: String) async throws(Failure) {
    try await session.send(["data": try content.value], to: participant)
  }

  /// Changes what the others see; `nil` leaves it.
  public func set(name: String? = nil, info: String? = nil) async throws(Failure) {
    try await session.set(name: name, info: try info.map { text throws(Failure) in try Content.json(text).value })
  }

  // MARK: Media

  /// Shows or lets hear something, from a source of frames, to whoever is here and comes.
  /// - Parameter codec: of the frames: `VP8`, `H264`, `opus`, … Participants that do not take it get nothing.
  /// - Throws: `badCommand` where the source is published already.
  public func publish(_ source: Source, codec: String) async throws(Failure) -> Publication {
    try await session.publish(source, codec: codec)
  }

  public func unpublish(_ publication: Publication) async { await session.unpublish(publication) }

  /// Sends nothing of a source, and tells everybody.
  public func setMuted(_ source: Source, _ isMuted: Bool) async throws(Failure) { try await session.setMuted(source, isMuted) }

  /// How large what the server passes on is shown; what is not named is shown in full. Without effect in other topologies.
  public func setViews(_ views: [View]) async { await session.setViews(views) }

  // MARK: Moderation, and the end

  /// The commands of moderators in docs/rooms.md, for those who may: `kick`, `mute`, `lock`, `unlock`, `admit`, `refuse`, `move`, `topology`.
  /// - Parameter details: the other members of the command, such as `participant` or `topology`.
  public func moderate(_ action: String, _ details: [String: Content] = [:]) async throws(Failure) {
    var command = JSON.Object()
    command["do"] = .string(action)
    for (name, content) in details { command[name] = try content.value }
    _ = try await session.ask(.object(command))
  }

  /// Asks for another token and puts it in place, before the present one ends.
  public func refreshToken() async throws(Failure) { try await session.refreshToken() }

  /// Leaves, and ends every connection.
  public func leave() async { await session.leave() }
}

extension Room.Content {
  /// - Throws: `badCommand` for what is no JSON.
  internal var value: JSON {
    get throws(Room.Failure) {
      switch self {
      case .text(let text): return .string(text)
      case .json(let text):
        do throws(ParseError) { return try JSON(parsing: text) } catch { throw Room.Failure(.badCommand, "no JSON: \(error)") }
      }
    }
  }

  internal init(_ value: JSON) { self = value.stringValue.map { .text($0) } ?? .json("\(value)") }
}

internal import MartletMessages
package import MartletPrimitives

/// A room as it stands at its home: who is in it, and what they may do. A state machine without I/O: calls go in, then `pollOutput` is
/// drained.
package struct Room {
  /// What others are told.
  package enum Output: Sendable {
    case toAll(RoomEvent)
    /// Into the inbox of one, who may be out already.
    case to(ParticipantKey, RoomEvent)
    /// A message of the chat.
    case say(ParticipantID, JSON, once: String?)
    case joined(Participant)
    /// Its media ends too.
    case departed(Participant, DepartureReason)
    /// Who spoke, the last one first.
    case spoke([ParticipantID])
    /// It was in the lobby, and never came in.
    case turnedAway(Participant)
    /// What it has `silenced` is others now.
    case silenced(Participant)
    /// It may not publish any more.
    case restricted(Participant)
    /// The room is another one now.
    case configured(RoomOptions)
  }

  /// Somebody who wants in.
  package struct Entry: Sendable {
    package let id: ParticipantID
    package let key: ParticipantKey
    package var name = ""
    package var info: JSON?
    package var grant = RoomGrant()
    package var remote: SocketAddress
    /// It connects to each of the others, and to nothing else.
    package var isMeshOnly = false
    /// It passes on what others publish, where it is the supernode.
    package var canRelay = true
    /// It publishes the stream `rooms/ROOM/ID` by another protocol, and hears nothing of the room.
    package var isStream = false

    package init(id: ParticipantID, key: ParticipantKey, remote: SocketAddress) {
      (self.id, self.key, self.remote) = (id, key, remote)
    }
  }

  package let name: RoomName
  package internal(set) var isLocked = false
  package internal(set) var topology = RoomTopology.mesh
  /// Counts the changes of topology.
  package internal(set) var generation = 0
  package let created: WallTime
  /// In the order in which they came.
  package internal(set) var participants: [Participant] = []
  package internal(set) var lobby: [Participant] = []
  /// Who spoke, the last one first.
  package internal(set) var lastSpeakers: [ParticipantID] = []
  package internal(set) var options: RoomOptions
  /// An administrator has made it: it is there also while nobody is in it.
  package var isKept = false
  /// Whom nobody hears of for so long has left.
  private let grace: TimeSpan
  private let choice: TopologyChoice
  var named: ParticipantID?
  private var outputs = Deque<Output>()

  package init(_ name: RoomName, _ configuration: RoomConfiguration, hasServer: Bool, created: WallTime) {
    self.name = name
    self.created = created
    options = configuration.options(of: name)
    grace = configuration.grace
    choice = TopologyChoice(meshLimit: configuration.meshLimit, hasServer: hasServer)
    topology = choice.topology(options, [], present: .mesh, named: nil)
    if options.isRecorded { raise(.configured(options)) }
  }

  /// Nobody is in it, and nobody has asked for it.
  package var isOver: Bool { participants.isEmpty && lobby.isEmpty && !isKept }

  package mutating func pollOutput() -> Output? {
    let next = outputs.popFirst()
    if next == nil { outputs.removeAll() }
    return next
  }

  mutating func raise(_ output: Output) { outputs.append(output) }

  // MARK: Who is there

  package func participant(_ key: ParticipantKey) -> Participant? { participants.first { $0.key == key } }

  func index(_ id: ParticipantID) throws(RoomError) -> Int {
    guard let index = participants.firstIndex(where: { $0.id == id }) else { throw .noParticipant(id.text) }
    return index
  }

  /// Whoever has the key: its place, and a sign of life.
  mutating func enter(_ key: ParticipantKey, now: Instant) throws(RoomError) -> Int {
    guard let index = participants.firstIndex(where: { $0.key == key }) else {
      guard let index = lobby.firstIndex(where: { $0.key == key }) else { throw .gone }
      lobby[index].seen = now
      throw .waiting
    }
    participants[index].seen = now
    return index
  }

  // MARK: Coming and going

  package enum Entrance: Sendable {
    case inside
    case lobby
    /// An encoder that came back.
    case known
  }

  package mutating func join(_ entry: Entry, now: Instant, at time: WallTime) throws(RoomError) -> Entrance {
    if let index = participants.firstIndex(where: { $0.id == entry.id }) {
      guard entry.isStream, participants[index].isStream else { throw .forbidden("there is a participant \(entry.id) already") }
      participants[index].seen = now
      return .known
    }
    guard !isLocked || entry.grant.isModerator else { throw .locked }
    guard participants.count < options.capacity else { throw .full(options.capacity) }
    guard !entry.isMeshOnly || options.publish == .everyone else {
      throw .forbidden("not everybody publishes in this room (publish), which a mesh cannot see to")
    }
    var participant = Participant(
      id: entry.id, key: entry.key, name: entry.name, info: entry.info, grant: entry.grant, remote: entry.remote, joined: time,
      isMeshOnly: entry.isMeshOnly, canRelay: entry.canRelay, isStream: entry.isStream, seen: now)
    if entry.isStream {
      guard isEncoderWelcome(entry.grant) else { throw .forbidden("only moderators publish in this room (publish)") }
      participant.tracks = [RoomTrack(.camera), RoomTrack(.microphone)]
    }
    // Who may publish there by a permission of its own has no page to wait in.
    guard !options.hasLobby || entry.grant.isModerator || entry.isStream else {
      guard lobby.count < RoomLimits.lobby else { throw .full(RoomLimits.lobby) }
      lobby.append(participant)
      for other in participants where other.grant.isModerator { raise(.to(other.key, .waiting(participant))) }
      return .lobby
    }
    admit(participant)
    return .inside
  }

  mutating func admit(_ participant: Participant) {
    participants.append(participant)
    raise(.joined(participant))
    raise(.toAll(.joined(participant)))
    if participant.grant.isModerator { for waiting in lobby { raise(.to(participant.key, .waiting(waiting))) } }
    choose()
  }

  /// An encoder has no page to reload.
  private static let streamGrace = TimeSpan.seconds(3)

  mutating func turnAway(_ key: ParticipantKey) {
    guard let index = lobby.firstIndex(where: { $0.key == key }) else { return }
    raise(.turnedAway(lobby.remove(at: index)))
  }

  package mutating func leave(_ id: ParticipantID, _ reason: DepartureReason) {
    guard let index = participants.firstIndex(where: { $0.id == id }) else { return }
    let participant = participants.remove(at: index)
    for other in participants.indices { participants[other].unreachable.remove(id) }
    if named == id { named = nil }
    lastSpeakers.removeAll { $0 == id }
    raise(.departed(participant, reason))
    raise(.toAll(.left(id, reason)))
    choose()
  }

  /// Comes about once a second.
  /// - Parameter isPresent: whether somebody listens at its inbox, or its stream is published.
  package mutating func sweep(now: Instant, at time: WallTime, isPresent: (Participant) -> Bool) {
    for index in participants.indices {
      participants[index].commands = 0
      participants[index].offers.removeAll(keepingCapacity: true)
      if isPresent(participants[index]) { participants[index].seen = now }
    }
    for participant in participants {
      if let expires = participant.grant.expires, expires <= time {
        raise(.to(participant.key, .expired))
        leave(participant.id, .expired)
      } else if now - participant.seen > (participant.isStream ? min(Self.streamGrace, grace) : grace) {
        leave(participant.id, .timeout)
      }
    }
    for index in lobby.indices where isPresent(lobby[index]) { lobby[index].seen = now }
    for waiting in lobby where now - waiting.seen > grace { turnAway(waiting.key) }
  }

  /// Those of a user, or of a token that was revoked.
  package mutating func remove(_ reason: DepartureReason, where isMeant: (Participant) -> Bool) -> Int {
    let meant = participants.filter(isMeant)
    for participant in meant {
      raise(.to(participant.key, reason == .expired ? .expired : .kicked(nil)))
      leave(participant.id, reason)
    }
    return meant.count
  }

  // MARK: Topology

  mutating func choose() {
    let members = participants.map {
      TopologyChoice.Member(
        id: $0.id, uplink: $0.uplink, failures: $0.unreachable.count, isMeshOnly: $0.isMeshOnly,
        isStream: $0.isStream, canRelay: $0.canRelay)
    }
    let next = choice.topology(options, members, present: topology, named: named)
    guard next != topology else { return }
    topology = next
    generation += 1
    raise(.toAll(.topology(topology, options.topology, generation: generation)))
  }

  package var json: JSON {
    var object = JSON.Object()
    object["name"] = .string(name.text)
    object["topology"] = .string(topology.name)
    if let supernode = topology.supernode { object["supernode"] = .string(supernode.text) }
    object["mode"] = .string(options.topology.rawValue)
    object["generation"] = .int(Int64(generation))
    object["locked"] = .bool(isLocked)
    object["options"] = options.json
    return .object(object)
  }
}

package import MartletPrimitives

// What participants ask for.
extension Room {
  /// - Parameter isModerator: it has the permission that a moderation takes.
  package mutating func perform(_ command: RoomCommand, by key: ParticipantKey, isModerator: Bool, now: Instant) throws(RoomError) {
    if case .leave = command, lobby.contains(where: { $0.key == key }) { return turnAway(key) }
    let index = try hear(key, now: now)
    switch command {
    case .signal(let signal):
      let other = participants[try self.index(signal.to)].key
      if signal.kind == .offer { try countOffer(of: index, to: signal.to) }
      raise(.to(other, .relayed(signal, from: participants[index].id)))
    case .set(let change): set(change, of: index)
    case .say(let data, let once):
      guard data.serialized.count <= RoomLimits.chat else { throw .limit("bytes of \"data\"", maximum: RoomLimits.chat) }
      raise(.say(participants[index].id, data, once: once))
    case .report(let report):
      if let uplink = report.uplink { participants[index].uplink = Uplink(bitrate: uplink, isLimited: report.isLimited) }
      if let unreachable = report.unreachable { participants[index].unreachable = unreachable.intersection(participants.map(\.id)) }
      choose()
    case .leave: leave(participants[index].id, .left)
    case .moderation(let moderation):
      guard isModerator else { throw .forbidden("moderation takes the permission admin on \(name.chat)") }
      changeMay { $0.participants[index].grant.isModerator = true }
      try moderate(moderation)
    }
  }

  /// Whoever has the key: its place. Everything that a participant asks for counts.
  package mutating func hear(_ key: ParticipantKey, now: Instant) throws(RoomError) -> Int {
    let index = try enter(key, now: now)
    participants[index].commands += 1
    guard participants[index].commands <= RoomLimits.commandsPerSecond else {
      throw .busy("more than \(RoomLimits.commandsPerSecond) commands in a second")
    }
    return index
  }

  /// Who offers to the server.
  package mutating func hearOffer(_ key: ParticipantKey, now: Instant) throws(RoomError) -> Int {
    let index = try hear(key, now: now)
    try countOffer(of: index, to: nil)
    return index
  }

  private mutating func countOffer(of index: Int, to other: ParticipantID?) throws(RoomError) {
    participants[index].offers[other, default: 0] += 1
    guard participants[index].offers[other, default: 0] <= RoomLimits.offersPerSecond else {
      throw .busy("more than \(RoomLimits.offersPerSecond) offers to \(other?.text ?? "the server") in a second")
    }
  }

  private mutating func set(_ change: RoomCommand.Change, of index: Int) {
    let before = participants[index].json
    if let name = change.name { participants[index].name = name }
    if let info = change.info { participants[index].info = info }
    if let muted = change.muted {
      participants[index].muted = muted
      silence(index, participants[index].silenced.intersection(muted))
    }
    if participants[index].json != before { raise(.toAll(.changed(participants[index]))) }
  }

  private mutating func silence(_ index: Int, _ sources: Set<TrackSource>) {
    guard participants[index].silenced != sources else { return }
    participants[index].silenced = sources
    raise(.silenced(participants[index]))
  }

  /// What moderators, and the administrator over REST, do.
  package mutating func moderate(_ moderation: RoomCommand.Moderation) throws(RoomError) {
    switch moderation {
    case .kick(let id, let reason):
      raise(.to(participants[try index(id)].key, .kicked(reason)))
      leave(id, .kicked)
    case .mute(let id, let sources): mute(try index(id), sources)
    case .lock(let locks):
      guard locks != isLocked else { return }
      isLocked = locks
      raise(.toAll(.locked(locks)))
    case .admit(let id, let isWelcome):
      guard let place = lobby.firstIndex(where: { $0.id == id }) else { throw .noParticipant(id.text) }
      let participant = lobby[place]
      guard isWelcome else {
        raise(.to(participant.key, .refused))
        return turnAway(participant.key)
      }
      lobby.remove(at: place)
      letIn(participant)
    case .move(let id, let room):
      raise(.to(participants[try index(id)].key, .moved(to: room)))
      leave(id, .moved)
    case .topology(let mode, let supernode):
      if let supernode { _ = try index(supernode) }
      named = supernode
      if mode == options.topology { choose() } else { configure(options.applying(.init(topology: mode))) }
    }
  }

  /// A page is asked, an encoder is not; both are silent from now on. What was muted before is given free.
  private mutating func mute(_ index: Int, _ sources: Set<TrackSource>) {
    let before = participants[index]
    participants[index].muted = before.isStream ? sources : before.muted.union(sources)
    silence(index, sources)
    raise(.to(before.key, .mute(sources)))
    if participants[index].json != before.json { raise(.toAll(.changed(participants[index]))) }
  }

  /// What a participant publishes through the server, as its media session says.
  package mutating func setTracks(_ tracks: [RoomTrack], of id: ParticipantID) {
    guard let index = participants.firstIndex(where: { $0.id == id }), participants[index].tracks != tracks else { return }
    participants[index].tracks = tracks
    raise(.toAll(.tracks(participants[index])))
  }

  /// What of its pictures others watch: it need not make the rest.
  package mutating func tellWanted(_ wishes: [TrackWish], session: String, to id: ParticipantID) {
    guard let participant = participants.first(where: { $0.id == id }) else { return }
    raise(.to(participant.key, .wanted(wishes, session: session)))
  }

  /// Who speaks, the loudest first.
  package mutating func setSpeech(_ loudness: Int?, of id: ParticipantID) {
    guard let index = participants.firstIndex(where: { $0.id == id }), participants[index].loudness != loudness else { return }
    if participants[index].loudness == nil { noteSpeaker(id) }
    participants[index].loudness = loudness
    let speakers = participants.compactMap { one in one.loudness.map { (one.id, $0) } }.sorted { $0.1 > $1.1 }
    raise(.toAll(.speaking(speakers.map(\.0))))
  }

  /// Who begins to speak is the last who spoke.
  private mutating func noteSpeaker(_ id: ParticipantID) {
    lastSpeakers.removeAll { $0 == id }
    lastSpeakers.insert(id, at: 0)
    if lastSpeakers.count > RoomLimits.speakers { lastSpeakers.removeLast() }
    raise(.spoke(lastSpeakers))
  }

  /// A new token: who it is, until when, and what it may.
  package mutating func refresh(_ key: ParticipantKey, _ grant: RoomGrant, now: Instant) throws(RoomError) {
    let index = try enter(key, now: now)
    changeMay { $0.participants[index].grant = grant }
  }
}

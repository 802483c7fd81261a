internal import MartletPrimitives

// By which way the media of each participant comes, and from one topology to the next.
extension RoomMachine {
  /// The way by which the media of a participant comes in this topology.
  func way(of id: ID) -> Way {
    switch arrangement.topology {
    case .sfu: .server
    case .supernode(let node) where node != id && node != me.id: .link(node)
    case .mesh, .supernode: .link(id)
    }
  }

  private func isOpen(_ way: Way) -> Bool {
    switch way {
    case .server: server == .connected
    case .link(let id): links[id]?.state == .connected
    }
  }

  // MARK: Connections

  /// Makes ready for a connection, for media where that is the way it comes.
  mutating func open(_ id: ID) {
    guard let member = members[id], links[id] == nil else { return }
    links[id] = Link()
    raise(.open(id, isLater: member.isEarlier))
    raise(.carry(id, way(of: id) == .link(id)))
  }

  /// Who came later makes the first offer.
  mutating func meet(_ id: ID) {
    guard let member = members[id] else { return }
    if links[id] == nil { open(id) } else { raise(.carry(id, way(of: id) == .link(id))) }
    if member.isEarlier { raise(.begin(id)) }
  }

  mutating func closeLink(_ id: ID) {
    guard let link = links.removeValue(forKey: id) else { return }
    raise(.close(id))
    for other in link.tracks.keys.sorted() { take(other, by: .link(id), [:]) }
  }

  /// Another connection in the place of one that is of no use any more.
  internal mutating func reopen(_ id: ID) {
    closeLink(id)
    open(id)
  }

  internal func carriesMedia(_ id: ID) -> Bool { way(of: id) == .link(id) }

  mutating func openServer() {
    guard server == nil else { return }
    server = .connecting
    raise(.openServer)
    raise(.subscribe(wanted()))
  }

  mutating func closeServer() {
    server = nil
    raise(.closeServer)
    for id in order { take(id, by: .server, [:]) }
  }

  // MARK: What comes

  /// All that comes over the connection to a participant: its own, and what it passes on of others.
  internal mutating func link(_ id: ID, carries tracks: [ID: Tracks]) {
    guard let old = links[id]?.tracks else { return }
    links[id]?.tracks = tracks
    for other in Set(old.keys).union(tracks.keys).sorted() { take(other, by: .link(id), tracks[other] ?? [:]) }
  }

  internal mutating func server(carries tracks: [ID: Tracks]) {
    for id in order { take(id, by: .server, tracks[id] ?? [:]) }
  }

  mutating func take(_ id: ID, by way: Way, _ tracks: Tracks) {
    guard let old = members[id]?.incoming[way] ?? (members[id] == nil ? nil : [:]) else { return }
    members[id]?.incoming[way] = tracks.isEmpty ? nil : tracks
    for track in old.values where !tracks.values.contains(track) { flowing.remove(track) }
    for track in tracks.values where !old.values.contains(track) && !flowing.contains(track) { raise(.watch(track)) }
    show(id)
  }

  /// Something has arrived on it.
  internal mutating func didFlow(_ track: Track) {
    guard let id = order.first(where: { members[$0]?.incoming.values.contains { $0.values.contains(track) } ?? false }) else { return }
    flowing.insert(track)
    show(id)
  }

  /// What comes of a participant the way it comes now, and all else that still does.
  private func ways(_ member: Member) -> (now: Tracks, before: Tracks) {
    let present = way(of: member.description.id)
    var before: Tracks = [:]
    for (way, tracks) in member.incoming where way != present { before.merge(tracks) { first, _ in first } }
    return (member.incoming[present] ?? [:], before)
  }

  /// Of two ways that have a track, the one shows it that the room has now, as soon as it flows.
  mutating func show(_ id: ID) {
    guard let member = members[id] else { return }
    let (now, before) = ways(member)
    for source in Room.Source.allCases {
      let (next, old) = (now[source], before[source])
      let track = next.map { flowing.contains($0) || old == nil } ?? false ? next : old
      guard member.tracks[source] != track else { continue }
      members[id]?.tracks[source] = track
      raise(track.map { .track(id, source, $0) } ?? .trackEnded(id, source))
    }
    look(id)
  }

  // MARK: From one topology to the next

  mutating func follow(_ next: RoomArrangement, now: Instant) {
    let isChange = next.topology != arrangement.topology
    arrangement = next
    guard isChange else { return }
    handover.begin(next.generation, with: order, now: now)
    if next.topology == .sfu { openServer() }
    for id in order where way(of: id) == .link(id) { meet(id) }
    raise(.topology(next.topology))
    for id in order { show(id) }
    finishDone()
  }

  mutating func lookAtAll() {
    for id in order { look(id) }
    finishDone()
  }

  /// Once all that came the old way comes the new way, also what it passed on of others, the other one is told.
  mutating func look(_ id: ID) {
    guard handover.needs(id), let member = members[id], isOpen(way(of: id)) else { return }
    if !handover.isLate {
      let (now, before) = ways(member)
      guard before.keys.allSatisfy({ now[$0].map(flowing.contains) ?? false }) else { return }
      guard !order.contains(where: { way(of: $0) != .link(id) && members[$0]?.incoming[.link(id)] != nil && $0 != id }) else { return }
    }
    raise(.tell(id, ["handover": .int(handover.generation)]))
    handover.complete(id)
    finishDone()
  }

  /// Gives up the old connections of those who are done, which may make others so.
  mutating func finishDone() {
    while let id = handover.popDone() {
      giveUpOthers(id)
      for other in order { look(other) }
    }
    if handover.hasFinished(), arrangement.topology != .sfu, server != nil { closeServer() }
  }

  private mutating func giveUpOthers(_ id: ID) {
    let present = way(of: id)
    if present != .link(id) { closeLink(id) }
    for way in members[id]?.incoming.keys.filter({ $0 != present }) ?? [] { take(id, by: way, [:]) }
    show(id)
  }
}

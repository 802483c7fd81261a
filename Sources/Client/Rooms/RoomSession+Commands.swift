internal import MartletPrimitives
internal import MartletWebRTC

// What the application does.
extension RoomSession {
  internal func ask(_ command: JSON) async throws(Room.Failure) -> JSON { try await signaling.ask(command) }

  internal func send(_ json: JSON, to id: String) async throws(Room.Failure) {
    if let link = links[id], await link.say("\(json)") { return }
    _ = try await signaling.ask(["do": "signal", "to": .string(id), "data": json])
  }

  internal func set(name: String?, info: JSON?) async throws(Room.Failure) {
    var command: JSON.Object = JSON.Object()
    command["do"] = "set"
    command["name"] = name.map { .string($0) }
    command["info"] = info
    _ = try await signaling.ask(.object(command))
    await signaling.describe(name: name, info: info)
  }

  internal func refreshToken() async throws(Room.Failure) {
    let token = try await signaling.token()
    _ = try await signaling.ask(["do": "refresh", "token": .string(token)])
  }

  internal func publish(_ source: Room.Source, codec: String) throws(Room.Failure) -> Room.Publication {
    guard publications[source] == nil else { throw Room.Failure(.badCommand, "\(source.rawValue) is published already") }
    guard !isOver else { throw Room.Failure(.closed, "the room is closed") }
    let publication = Room.Publication(source, codec: codec, isMuted: machine.me.muted.contains(source))
    publications[source] = publication
    carry()
    return publication
  }

  internal func unpublish(_ publication: Room.Publication) {
    guard publications[publication.source] == publication else { return }
    publications[publication.source] = nil
    carry()
  }

  private func carry() {
    for (id, link) in links where machine.carriesMedia(id) { link.carry(publications) }
    server?.publish(publications)
  }

  internal func setMuted(_ source: Room.Source, _ isMuted: Bool) async throws(Room.Failure) {
    publications[source]?.mute(isMuted)
    let changes = isMuted ? machine.me.muted.insert(source).inserted : machine.me.muted.remove(source) != nil
    guard changes else { return }
    events.put(.changed(me))
    _ = try await signaling.ask(["do": "set", "muted": mutedNames])
  }

  private var mutedNames: JSON { .array(machine.me.muted.map { .string($0.rawValue) }) }
  func tellMuted() { commands.yield(["do": "set", "muted": mutedNames]) }

  /// A moderator asks for it.
  func mute(_ sources: Set<Room.Source>) {
    machine.me.muted.formUnion(sources)
    for source in sources { publications[source]?.mute(true) }
    tellMuted()
    events.put(.mute(sources))
  }

  internal func setViews(_ views: [Room.View]) {
    self.views = views
    tellViews()
  }

  func tellViews() {
    guard let serverSession, !views.isEmpty else { return }
    commands.yield(["do": "view", "session": .string(serverSession), "tracks": .array(views.map(\.json))])
  }
}

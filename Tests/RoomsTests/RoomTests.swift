import MartletMessages
import MartletPrimitives
import MartletRooms
import Testing

/// A room with a clock and somebody who listens to what it says.
struct RoomProbe {
  var room: Room
  var now = Instant(nanoseconds: 1_000_000_000)
  var time = WallTime(milliseconds: 1_790_000_000_000)
  var outputs: [Room.Output] = []
  var random = RandomSource(seed: 7)

  init(_ configuration: RoomConfiguration = RoomConfiguration(), hasServer: Bool = true) throws {
    room = Room(try RoomName("lobby"), configuration, hasServer: hasServer, created: time)
  }

  mutating func drain() { while let output = room.pollOutput() { outputs.append(output) } }

  /// Names of what all hear, in order.
  var told: [String] { outputs.compactMap { if case .toAll(let event) = $0 { event.name } else { nil } } }

  func inbox(_ key: ParticipantKey) -> [RoomEvent] {
    outputs.compactMap { if case .to(key, let event) = $0 { event } else { nil } }
  }

  mutating func entry(_ name: String = "", isModerator: Bool = false) -> Room.Entry {
    var entry = Room.Entry(
      id: ParticipantID(random: &random), key: ParticipantKey(random: &random), remote: SocketAddress(ip: .v4(0xC000_0201), port: 9))
    entry.name = name
    entry.grant.isModerator = isModerator
    return entry
  }

  @discardableResult mutating func join(_ name: String = "", isModerator: Bool = false) throws -> Room.Entry {
    let entry = entry(name, isModerator: isModerator)
    _ = try room.join(entry, now: now, at: time)
    drain()
    return entry
  }

  mutating func perform(_ text: String, by entry: Room.Entry, isModerator: Bool = false) throws {
    let command = try RoomCommand(JSON(parsing: Array(text.utf8)))
    try room.perform(command, by: entry.key, isModerator: isModerator, now: now)
    drain()
  }

  mutating func wait(_ span: TimeSpan, watched: Set<ParticipantKey> = []) {
    now = now + span
    room.sweep(now: now, at: time) { watched.contains($0.key) }
    drain()
  }

  /// What a command is refused with.
  mutating func refusal(_ text: String, by entry: Room.Entry, isModerator: Bool = false) -> String? {
    do { try perform(text, by: entry, isModerator: isModerator) } catch let error as RoomError { return error.code } catch {
      return "\(error)"
    }
    return nil
  }
}

@Suite struct RoomTests {
  @Test func `all hear who comes and goes, and a departed key is nobody's`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    let bob = try probe.join("Bob")
    #expect(probe.told == ["joined", "joined"])
    #expect(probe.room.participants.map(\.name) == ["Ada", "Bob"])
    try probe.perform(#"{"do":"leave"}"#, by: ada)
    #expect(probe.told.last == "left")
    #expect(probe.refusal(#"{"do":"say","data":"hi"}"#, by: ada) == "gone")
    #expect(probe.room.participants.map(\.id) == [bob.id])
  }

  @Test func `an offer reaches the one it is for, with the sender's id whatever it claims`() throws {
    var probe = try RoomProbe()
    let (ada, bob) = (try probe.join("Ada"), try probe.join("Bob"))
    try probe.perform(#"{"do":"offer","to":"\#(bob.id)","sdp":"v=0","from":"somebody"}"#, by: ada)
    let event = try #require(probe.inbox(bob.key).last)
    #expect(event.json["event"] == "offer")
    #expect(event.json["from"] == .string(ada.id.text))
    #expect(event.json["sdp"] == "v=0")
    #expect(probe.inbox(ada.key).isEmpty)
    #expect(probe.refusal(#"{"do":"offer","to":"pnobody","sdp":"v=0"}"#, by: ada) == "no_participant")
  }

  @Test func `who is not heard of for the grace has left; who is listened for stays`() throws {
    var configuration = RoomConfiguration()
    configuration.grace = .seconds(10)
    var probe = try RoomProbe(configuration)
    let (ada, bob) = (try probe.join("Ada"), try probe.join("Bob"))
    for _ in 0..<9 { probe.wait(.seconds(1), watched: [bob.key]) }
    #expect(probe.room.participants.count == 2)
    probe.wait(.seconds(2), watched: [bob.key])
    #expect(probe.room.participants.map(\.id) == [bob.id])
    #expect(probe.outputs.contains { if case .departed(let one, .timeout) = $0 { one.key == ada.key } else { false } })
  }

  @Test func `a locked room and a full one let nobody in`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.capacity = 2
    var probe = try RoomProbe(configuration)
    let ada = try probe.join("Ada")
    #expect(probe.refusal(#"{"do":"lock"}"#, by: ada) == "forbidden")
    try probe.perform(#"{"do":"lock"}"#, by: ada, isModerator: true)
    #expect(throws: RoomError.locked) { try probe.join("Bob") }
    try probe.perform(#"{"do":"unlock"}"#, by: ada, isModerator: true)
    try probe.join("Bob")
    #expect(throws: RoomError.full(2)) { try probe.join("Eve") }
    #expect(probe.told == ["joined", "locked", "unlocked", "joined"])
  }

  @Test func `in a lobby one waits until a moderator admits one`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.hasLobby = true
    var probe = try RoomProbe(configuration)
    let host = try probe.join("Host", isModerator: true)
    let ada = try probe.join("Ada")
    #expect(probe.room.participants.count == 1)
    #expect(probe.inbox(host.key).map(\.name) == ["waiting"])
    #expect(probe.refusal(#"{"do":"say","data":"hi"}"#, by: ada) == "waiting")
    try probe.perform(#"{"do":"admit","participant":"\#(ada.id)"}"#, by: host, isModerator: true)
    #expect(probe.inbox(ada.key).map(\.name) == ["admitted"])
    #expect(probe.room.participants.map(\.name) == ["Host", "Ada"])
    let eve = try probe.join("Eve")
    try probe.perform(#"{"do":"refuse","participant":"\#(eve.id)"}"#, by: host, isModerator: true)
    #expect(probe.inbox(eve.key).map(\.name) == ["refused"])
    #expect(probe.room.lobby.isEmpty)
    try probe.join("Gone")
    probe.wait(.seconds(60), watched: [host.key, ada.key])
    #expect(probe.room.lobby.isEmpty)
  }

  @Test func `a moderator kicks, mutes and moves, and the one concerned hears it`() throws {
    var probe = try RoomProbe()
    let (host, ada, bob) = (try probe.join("Host"), try probe.join("Ada"), try probe.join("Bob"))
    try probe.perform(#"{"do":"mute","participant":"\#(ada.id)","muted":["microphone"]}"#, by: host, isModerator: true)
    try probe.perform(#"{"do":"kick","participant":"\#(ada.id)","reason":"noise"}"#, by: host, isModerator: true)
    try probe.perform(#"{"do":"move","participant":"\#(bob.id)","room":"other"}"#, by: host, isModerator: true)
    #expect(probe.inbox(ada.key).map(\.name) == ["mute", "kicked"])
    #expect(probe.inbox(bob.key).map(\.name) == ["moved"])
    #expect(probe.room.participants.map(\.id) == [host.id])
  }

  @Test func `a token that ends during a call ends its part in it`() throws {
    var probe = try RoomProbe()
    var entry = probe.entry("Ada")
    entry.grant.expires = WallTime(milliseconds: probe.time.milliseconds + 5000)
    _ = try probe.room.join(entry, now: probe.now, at: probe.time)
    probe.wait(.seconds(1), watched: [entry.key])
    #expect(probe.room.participants.count == 1)
    entry.grant.expires = WallTime(milliseconds: probe.time.milliseconds + 9000)
    try probe.room.refresh(entry.key, entry.grant, now: probe.now)
    probe.time = WallTime(milliseconds: probe.time.milliseconds + 6000)
    probe.wait(.seconds(1), watched: [entry.key])
    #expect(probe.room.participants.count == 1)
    probe.time = WallTime(milliseconds: probe.time.milliseconds + 6000)
    probe.wait(.seconds(1), watched: [entry.key])
    #expect(probe.room.participants.isEmpty)
    #expect(probe.inbox(entry.key).map(\.name) == ["expired"])
  }

  @Test func `a flood of commands is refused, and of one second alone`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    for _ in 0..<RoomLimits.commandsPerSecond { try probe.perform(#"{"do":"say","data":1}"#, by: ada) }
    #expect(probe.refusal(#"{"do":"say","data":1}"#, by: ada) == "busy")
    probe.wait(.seconds(1), watched: [ada.key])
    try probe.perform(#"{"do":"say","data":1}"#, by: ada)
  }

  @Test func `a storm of offers is refused, to each whom it is for, and of one second alone`() throws {
    var probe = try RoomProbe()
    let (ada, bob, eve) = (try probe.join("Ada"), try probe.join("Bob"), try probe.join("Eve"))
    let offer = { (to: ParticipantID) in #"{"do":"offer","to":"\#(to)","sdp":"v=0"}"# }
    for _ in 0..<RoomLimits.offersPerSecond { try probe.perform(offer(bob.id), by: ada) }
    #expect(probe.refusal(offer(bob.id), by: ada) == "busy")
    try probe.perform(offer(eve.id), by: ada)
    for _ in 0..<RoomLimits.offersPerSecond { _ = try probe.room.hearOffer(ada.key, now: probe.now) }
    #expect(throws: RoomError.self) { try probe.room.hearOffer(ada.key, now: probe.now) }
    probe.wait(.seconds(1), watched: [ada.key, bob.key, eve.key])
    try probe.perform(offer(bob.id), by: ada)
  }

  @Test func `as many rooms as there may be, over all workers`() {
    var configuration = RoomConfiguration()
    configuration.maximum = 2
    let census = RoomCensus(configuration)
    #expect(census.openRoom() && census.openRoom())
    #expect(!census.openRoom())
    census.closeRoom()
    #expect(census.openRoom())
  }

  @Test func `what a command must not be is said`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    for (text, code) in [
      (#"{"do":"dance"}"#, "bad_command"), (#"{}"#, "bad_command"), (#"[]"#, "bad_command"), (#"{"do":7}"#, "bad_command"),
      (#"{"do":"offer","to":"p"}"#, "bad_command"), (#"{"do":"offer","to":"p","sdp":1}"#, "bad_command"),
      (#"{"do":"set","muted":["nose"]}"#, "bad_command"), (#"{"do":"set","name":"\#(String(repeating: "x", count: 200))"}"#, "limit"),
      (#"{"do":"set","info":"\#(String(repeating: "x", count: 5000))"}"#, "limit"),
      (#"{"do":"report","uplink":-1}"#, "bad_command"), (#"{"do":"topology","topology":"star"}"#, "bad_command"),
      (#"{"do":"move","participant":"p","room":"a/b"}"#, "bad_command"),
    ] {
      #expect(probe.refusal(text, by: ada, isModerator: true) == code, "\(text)")
    }
  }

  @Test func `a change that changes nothing is not told`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    try probe.perform(#"{"do":"set","muted":["camera"]}"#, by: ada)
    try probe.perform(#"{"do":"set","muted":["camera"]}"#, by: ada)
    #expect(probe.told == ["joined", "changed"])
  }
}

@Suite struct TopologyTests {
  private func members(_ count: Int, uplink: Int? = nil, isLimited: Bool = true) -> [TopologyChoice.Member] {
    (0..<count).map {
      TopologyChoice.Member(
        id: ParticipantID("p\($0)"), uplink: uplink.map { Uplink(bitrate: $0, isLimited: isLimited) }, failures: 0)
    }
  }

  private func mode(_ mode: RoomTopology.Mode) -> RoomOptions { RoomOptions().applying(.init(topology: mode)) }

  private let choice = TopologyChoice(meshLimit: 4, hasServer: true)

  @Test func `auto is a mesh for few and the server's beyond, and does not flutter at the limit`() {
    #expect(choice.topology(mode(.auto), members(4), present: .mesh, named: nil) == .mesh)
    #expect(choice.topology(mode(.auto), members(5), present: .mesh, named: nil) == .sfu)
    #expect(choice.topology(mode(.auto), members(4), present: .sfu, named: nil) == .sfu)
    #expect(choice.topology(mode(.auto), members(3), present: .sfu, named: nil) == .mesh)
  }

  @Test func `who cannot reach the others, or cannot send that much, ends the mesh`() {
    var few = members(3)
    few[1] = TopologyChoice.Member(id: few[1].id, uplink: nil, failures: 1)
    #expect(choice.topology(mode(.auto), few, present: .mesh, named: nil) == .sfu)
    #expect(choice.topology(mode(.auto), members(3, uplink: 100_000), present: .mesh, named: nil) == .sfu)
    #expect(choice.topology(mode(.auto), members(2, uplink: 100_000), present: .mesh, named: nil) == .mesh)
    // Who sends little because there is little to send could send more.
    #expect(choice.topology(mode(.auto), members(3, uplink: 100_000, isLimited: false), present: .mesh, named: nil) == .mesh)
  }

  @Test func `the supernode is the named one, or who sends best, and stays until it leaves`() {
    var three = members(3, uplink: 1_000_000)
    three[1] = TopologyChoice.Member(id: three[1].id, uplink: Uplink(bitrate: 9_000_000), failures: 0)
    let best = choice.topology(mode(.supernode), three, present: .mesh, named: nil)
    #expect(best == .supernode(three[1].id))
    three[2] = TopologyChoice.Member(id: three[2].id, uplink: Uplink(bitrate: 90_000_000), failures: 0)
    #expect(choice.topology(mode(.supernode), three, present: best, named: nil) == best)
    #expect(choice.topology(mode(.supernode), three, present: best, named: three[0].id) == .supernode(three[0].id))
    three.remove(at: 1)
    #expect(choice.topology(mode(.supernode), three, present: best, named: nil) == .supernode(three[1].id))
    // One that can pass nothing on is none, whoever wants it to be.
    three[1] = TopologyChoice.Member(id: three[1].id, uplink: Uplink(bitrate: 90_000_000), failures: 0, canRelay: false)
    #expect(choice.topology(mode(.supernode), three, present: .supernode(three[1].id), named: three[1].id) == .supernode(three[0].id))
    #expect(choice.topology(mode(.supernode), [three[1]], present: .mesh, named: nil) == .mesh)
  }

  @Test func `without a server's media a large room has a supernode`() {
    let alone = TopologyChoice(meshLimit: 4, hasServer: false)
    #expect(alone.topology(mode(.auto), members(9, uplink: 1), present: .mesh, named: nil).name == "supernode")
    #expect(alone.topology(mode(.sfu), members(1), present: .mesh, named: nil) == .mesh)
  }

  @Test func `what participants report elects the supernode, and a report of one thing leaves the other as it was`() throws {
    var probe = try RoomProbe(hasServer: false)
    let (ada, bob) = (try probe.join("Ada"), try probe.join("Bob"))
    try probe.join("Eve")
    try probe.perform(#"{"do":"report","uplink":2000000,"limited":false}"#, by: bob)
    try probe.perform(#"{"do":"report","uplink":1000000,"limited":false}"#, by: ada)
    #expect(probe.room.topology == .mesh)
    try probe.perform(#"{"do":"report","unreachable":["\#(bob.id)"]}"#, by: ada)
    #expect(probe.room.topology == .supernode(bob.id))
    try probe.perform(#"{"do":"report","uplink":900000}"#, by: ada)
    #expect(probe.room.topology == .supernode(bob.id))
    try probe.perform(#"{"do":"report","unreachable":[]}"#, by: ada)
    #expect(probe.room.participants.first?.uplink == Uplink(bitrate: 900_000))
  }

  @Test func `where only some publish, auto leaves the sending to the server`() {
    var options = RoomOptions()
    options.publish = .moderators
    #expect(choice.topology(options, members(2), present: .mesh, named: nil) == .sfu)
    #expect(TopologyChoice(meshLimit: 4, hasServer: false).topology(options, members(2), present: .mesh, named: nil) == .mesh)
  }

  @Test func `everybody hears a change of topology once`() throws {
    var probe = try RoomProbe()
    for _ in 0..<6 { try probe.join() }
    #expect(probe.told.filter { $0 == "topology" }.count == 1)
    #expect(probe.room.topology == .sfu)
    #expect(probe.room.generation == 1)
  }

  // MARK: Who spoke last, and what is watched

  @Test func `who begins to speak is the last who spoke, until they leave`() throws {
    var probe = try RoomProbe()
    let (ada, bob) = (try probe.join("Ada"), try probe.join("Bob"))
    for (id, loudness) in [(ada.id, 90), (bob.id, 80), (ada.id, 95), (bob.id, nil), (bob.id, 70)] as [(ParticipantID, Int?)] {
      probe.room.setSpeech(loudness, of: id)
    }
    #expect(probe.room.lastSpeakers == [bob.id, ada.id])
    probe.room.leave(bob.id, .left)
    #expect(probe.room.lastSpeakers == [ada.id])
  }

  @Test func `a publisher alone is told what of it is watched`() throws {
    var probe = try RoomProbe()
    let (ada, bob) = (try probe.join("Ada"), try probe.join("Bob"))
    probe.room.tellWanted([TrackWish(.camera, isWanted: true, layers: ["q"])], session: "0-1", to: ada.id)
    probe.drain()
    #expect(probe.inbox(ada.key).map(\.name) == ["wanted"] && probe.inbox(bob.key).isEmpty)
    let text = String(decoding: probe.inbox(ada.key)[0].json.serialized, as: UTF8.self)
    #expect(text == #"{"event":"wanted","session":"0-1","tracks":[{"source":"camera","wanted":true,"layers":["q"]}]}"#)
  }
}

import MartletPrimitives
import MartletRooms
import Testing

@Suite struct RoomOptionsTests {
  private func change(_ text: String) throws -> RoomOptions.Change { try RoomOptions.Change(JSON(parsing: Array(text.utf8))) }

  private func configure(_ probe: inout RoomProbe, _ text: String) throws {
    probe.room.configure(probe.room.options.applying(try change(text)))
    probe.drain()
  }

  @Test func `the first rule that matches a name says what is different there`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.capacity = 20
    let webinars = try #require(PathPattern("webinar-*"))
    configuration.rules = [
      .init(on: webinars, try change(#"{"publish":"moderators","record":true}"#)), .init(on: .everything, try change(#"{"lobby":true}"#)),
    ]
    let webinar = configuration.options(of: try RoomName("webinar-7"))
    #expect(webinar.capacity == 20)
    #expect(webinar.publish == .moderators)
    #expect(webinar.isRecorded && !webinar.hasLobby)
    #expect(configuration.options(of: try RoomName("tea")).hasLobby)
  }

  @Test(arguments: [
    "[]", #"{"capacity":0}"#, #"{"capacity":"9"}"#, #"{"capacity":1e9}"#, #"{"publish":"some"}"#, #"{"topology":1}"#, #"{"lobby":"yes"}"#,
    #"{"record":1}"#, #"{"colour":"red"}"#,
  ])
  func `what is no option is refused`(_ text: String) throws {
    do {
      _ = try change(text)
      Issue.record("\(text) was taken")
    } catch let error as RoomError { #expect(error.code == "bad_command") }
  }

  @Test func `all hear a change, and of nothing when nothing changes`() throws {
    var probe = try RoomProbe()
    try probe.join("Ada")
    try configure(&probe, #"{"capacity":1}"#)
    try configure(&probe, #"{"capacity":1}"#)
    #expect(probe.told == ["joined", "options"])
    #expect(throws: RoomError.full(1)) { try probe.join("Bob") }
  }

  @Test func `who may publish no more hears it, and its media ends`() throws {
    var probe = try RoomProbe()
    let (host, ada) = (try probe.join("Host", isModerator: true), try probe.join("Ada"))
    try configure(&probe, #"{"publish":"moderators"}"#)
    #expect(probe.inbox(ada.key).map(\.json) == [["event": "may", "may": []]])
    #expect(probe.inbox(host.key).isEmpty)
    #expect(probe.outputs.contains { if case .restricted(let one) = $0 { one.key == ada.key } else { false } })
    #expect(probe.room.topology == .sfu)
    try configure(&probe, #"{"publish":"nobody"}"#)
    #expect(probe.inbox(host.key).last?.json == ["event": "may", "may": ["moderate"]])
    try configure(&probe, #"{"publish":"everyone"}"#)
    #expect(probe.inbox(ada.key).last?.json == ["event": "may", "may": ["publish"]])
  }

  @Test func `where not everybody publishes an encoder takes a moderator's permission`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.publish = .nobody
    var probe = try RoomProbe(configuration)
    var encoder = probe.entry("obs")
    encoder.isStream = true
    #expect(throws: RoomError.self) { try probe.room.join(encoder, now: probe.now, at: probe.time) }
    encoder.grant.isModerator = true
    _ = try probe.room.join(encoder, now: probe.now, at: probe.time)
    #expect(probe.room.participants.map(\.id) == [encoder.id])
  }

  @Test func `who can do nothing but a mesh makes none of a room where not everybody publishes`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.publish = .moderators
    var probe = try RoomProbe(configuration)
    try probe.join("Host", isModerator: true)
    var old = probe.entry("SkyRTC")
    old.isMeshOnly = true
    #expect(throws: RoomError.self) { try probe.room.join(old, now: probe.now, at: probe.time) }
    #expect(probe.room.topology == .sfu)
  }

  @Test func `a lobby that is given up lets in who waits`() throws {
    var configuration = RoomConfiguration()
    configuration.defaults.hasLobby = true
    var probe = try RoomProbe(configuration)
    let ada = try probe.join("Ada")
    try configure(&probe, #"{"lobby":false}"#)
    #expect(probe.inbox(ada.key).map(\.name) == ["admitted"])
    #expect(probe.room.participants.map(\.id) == [ada.id])
  }

  @Test func `a new token says anew what one may`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    var grant = RoomGrant()
    (grant.user, grant.mayPublish, grant.isModerator) = ("ada", false, true)
    try probe.room.refresh(ada.key, grant, now: probe.now)
    probe.drain()
    #expect(probe.inbox(ada.key).map(\.json) == [["event": "may", "may": ["moderate"]]])
    #expect(probe.room.participants.first?.user == "ada")
  }

  @Test func `what a moderator mutes is silent until it is unmuted, by either of them`() throws {
    var probe = try RoomProbe()
    let (host, ada) = (try probe.join("Host", isModerator: true), try probe.join("Ada"))
    let mute = #"{"do":"mute","participant":"\#(ada.id)","muted":["microphone"]}"#
    try probe.perform(mute, by: host, isModerator: true)
    var silenced: [Set<TrackSource>] { probe.outputs.compactMap { if case .silenced(let one) = $0 { one.silenced } else { nil } } }
    #expect(silenced == [[.microphone]])
    #expect(probe.room.participants.last?.muted == [.microphone])
    // Its own echo of that, with its camera off.
    try probe.perform(#"{"do":"set","muted":["microphone","camera"]}"#, by: ada)
    #expect(silenced.count == 1)
    try probe.perform(#"{"do":"set","muted":["camera"]}"#, by: ada)
    #expect(silenced == [[.microphone], []])
    try probe.perform(mute, by: host, isModerator: true)
    try probe.perform(#"{"do":"mute","participant":"\#(ada.id)","muted":[]}"#, by: host, isModerator: true)
    #expect(silenced == [[.microphone], [], [.microphone], []])
    // Whether it says something again is up to itself.
    #expect(probe.room.participants.last?.muted == [.microphone, .camera])
  }

  @Test func `an encoder is unmuted by the moderator alone`() throws {
    var probe = try RoomProbe()
    var encoder = probe.entry("obs")
    encoder.isStream = true
    _ = try probe.room.join(encoder, now: probe.now, at: probe.time)
    try probe.room.moderate(.mute(encoder.id, [.camera]))
    #expect(probe.room.participants.first?.muted == [.camera])
    try probe.room.moderate(.mute(encoder.id, []))
    #expect(probe.room.participants.first?.muted == [])
  }

  @Test func `a message carries what it is known by when it is said again`() throws {
    var probe = try RoomProbe()
    let ada = try probe.join("Ada")
    try probe.perform(#"{"do":"say","data":"hi","once":"a1"}"#, by: ada)
    #expect(probe.outputs.contains { if case .say(ada.id, "hi", "a1") = $0 { true } else { false } })
    #expect(probe.refusal(#"{"do":"say","data":"hi","once":7}"#, by: ada) == "bad_command")
    #expect(probe.refusal(#"{"do":"say","data":"hi","once":"\#(String(repeating: "x", count: 200))"}"#, by: ada) == "limit")
  }

  @Test func `a room that an administrator made is there while nobody is in it`() throws {
    var probe = try RoomProbe()
    #expect(probe.room.isOver)
    probe.room.isKept = true
    #expect(!probe.room.isOver)
  }
}

import MartletClient
import MartletServer
import MartletWebRTC
import Testing

/// `Room` against the server of this package, two or three of them in one process; browsers are in Tests/Interop/test_rooms_swift.py.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RoomClientTests {
  private func withRooms(_ settings: [String: String] = [:], _ body: (Server, _ url: String) async throws -> Void) async throws {
    try await withServer { configuration in
      try configuration.listen(http: 0, webrtc: 0)
      try configuration.set("webrtc.addresses", "[127.0.0.1]")
      for (name, value) in settings { try configuration.set(name, value) }
    } _: { server, url in
      try await body(server, String(url("http", "").dropLast()))
    }
  }

  private func options(_ name: String) -> Room.Options {
    var options = Room.Options()
    options.name = name
    options.media.includesLoopback = true
    return options
  }

  private func next<R>(_ room: Room, _ pick: (Room.Event) -> R?) async throws -> R {
    for await event in room.events { if let picked = pick(event) { return picked } }
    return try #require(nil, "the room ended before that")
  }

  private func track(_ room: Room, of id: String, _ source: Room.Source) async throws -> MediaTransceiver {
    try await next(room) {
      if case .track(let participant, source, let track) = $0, participant.id == id { track } else { nil }
    }
  }

  /// So many frames that were sent by `speak`, whatever the numbers that they have.
  private func hear(_ count: Int, on track: MediaTransceiver) async {
    var heard = 0
    for await frame in track.frames {
      #expect(frame.data.prefix(3) == [0xFC, 0xFF, 0xFE])
      heard += 1
      if heard == count { return }
    }
    Issue.record("the track ended after \(heard) frames")
  }

  private func failure(_ body: () async throws(Room.Failure) -> Void) async -> Room.Failure.Code? {
    do throws(Room.Failure) {
      try await body()
      return nil
    } catch { return error.code }
  }

  /// A tone of Opus, of which each frame is known.
  private func speak(_ publication: Room.Publication) -> Task<Void, any Error> {
    Task {
      for n in 0... {
        await publication.send(.init(timestamp: UInt32(n * 960), isKeyFrame: true, data: [0xFC, 0xFF, 0xFE, UInt8(truncatingIfNeeded: n)]))
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  @Test func `two meet, talk in the chat and by data channel, and one leaves`() async throws {
    try await withRooms(["rooms.topology": "mesh"]) { _, url in
      let ada = try await Room.join("meet", at: url, options("Ada"))
      let bob = try await Room.join("meet", at: url, options("Bob"))
      #expect(await bob.participants.map(\.name) == ["Ada"])
      let joined = try await next(ada) { if case .joined(let participant) = $0 { participant } else { nil } }
      let (adaID, bobID) = (await ada.id, await bob.id)
      #expect(joined.name == "Bob" && joined.id == bobID)
      try await ada.say("hello")
      try await ada.say(.json("{\"x\": [1, null]}"))
      let first = try await next(bob) { if case .message(let message) = $0 { message } else { nil } }
      #expect(first.content == .text("hello") && first.name == "Ada" && first.from == adaID)
      let second = try await next(bob) { if case .message(let message) = $0 { message } else { nil } }
      #expect(second.content == .json("{\"x\":[1,null]}"))
      for n in 0..<20 { try await bob.send("number \(n)", to: adaID) }
      for n in 0..<20 {
        let (content, from) = try await next(ada) { if case .data(let content, let from) = $0 { (content, from.name) } else { nil } }
        #expect(content == .text("number \(n)") && from == "Bob")
      }
      await bob.leave()
      let reason = try await next(ada) { if case .left(let participant, let reason) = $0, participant.name == "Bob" { reason } else { nil } }
      #expect(reason == "left")
      #expect(await bob.state == .closed)
      await ada.leave()
    }
  }

  @Test func `what one publishes comes by every way that the room takes, and mute is told`() async throws {
    try await withRooms(["rooms.topology": "mesh"]) { _, url in
      let ada = try await Room.join("media", at: url, options("Ada"))
      let bob = try await Room.join("media", at: url, options("Bob"))
      let microphone = try await ada.publish(.microphone, codec: "opus")
      let speaking = speak(microphone)
      defer { speaking.cancel() }
      let id = await ada.id
      let direct = try await track(bob, of: id, .microphone)
      await hear(25, on: direct)
      for topology in ["sfu", "mesh", "sfu"] {
        try await ada.moderate("topology", ["topology": .text(topology)])
        let next = try await track(bob, of: id, .microphone)
        await hear(25, on: next)
        #expect(await bob.participants.first?.tracks == [.microphone: next])
      }
      // The connection that is not needed any more has ended.
      for await _ in direct.frames {}
      try await ada.setMuted(.microphone, true)
      let muted = try await next(bob) { if case .changed(let participant) = $0 { participant.muted } else { nil } }
      #expect(muted == [.microphone])
      await ada.unpublish(microphone)
      let source = try await next(bob) { if case .trackEnded(_, let source) = $0 { source } else { nil } }
      #expect(source == .microphone)
    }
  }

  @Test func `both publish, the earlier one after the first exchange, and the later one too`() async throws {
    try await withRooms(["rooms.topology": "mesh"]) { _, url in
      let rooms = [try await Room.join("both", at: url, options("Ada")), try await Room.join("both", at: url, options("Bob"))]
      for (speaker, listener) in [(rooms[0], rooms[1]), (rooms[1], rooms[0])] {
        let speaking = speak(try await speaker.publish(.microphone, codec: "opus"))
        defer { speaking.cancel() }
        await hear(10, on: try await track(listener, of: speaker.id, .microphone))
      }
    }
  }

  @Test func `after a restart of the server everybody is there again, as somebody new`() async throws {
    var configuration = Server.Configuration()
    try configuration.listen(http: 0)
    let first = try await Server.start(configuration, log: .silent)
    let url = try #require(first.listeners.first { $0.scheme == "http" }.map { "\($0)" })
    let port = try #require(url.split(separator: ":").last.flatMap { Int($0) })
    let room = try await Room.join("again", at: url, options("Ada"))
    let id = await room.id
    await first.stop()
    let lost = try await next(room) { if case .connection(let state) = $0 { state } else { nil } }
    #expect(lost == .reconnecting)
    async let said: Void = room.say("what waited")
    try configuration.listen(http: port)
    let second = try await Server.start(configuration, log: .silent)
    let back = try await next(room) { if case .connection(let state) = $0 { state } else { nil } }
    #expect(back == .connected)
    #expect(await room.id != id)
    try await said
    await room.leave()
    await second.stop()
  }

  @Test func `a refusal is the server's, with its code`() async throws {
    try await withRooms(["rooms.capacity": "1"]) { _, url in
      let ada = try await Room.join("small", at: url, options("Ada"))
      let options = options("Bob")
      #expect(await failure { () throws(Room.Failure) in _ = try await Room.join("small", at: url, options) } == .full)
      #expect(await failure { () throws(Room.Failure) in try await ada.send("x", to: "nobody") } == .noParticipant)
      #expect(await failure { () throws(Room.Failure) in try await ada.say(.json("{")) } == .badCommand)
      #expect(await failure { () throws(Room.Failure) in _ = try await Room.join("small", at: "nowhere", options) } == .badCommand)
      #expect(await failure { () throws(Room.Failure) in _ = try await Room.join("small", at: "http://127.0.0.1:1", options) } == .network)
      _ = try await ada.publish(.camera, codec: "VP8")
      #expect(await failure { () throws(Room.Failure) in _ = try await ada.publish(.camera, codec: "VP8") } == .badCommand)
      await ada.leave()
      #expect(await failure { () throws(Room.Failure) in try await ada.say("gone") } == .closed)
    }
  }
}

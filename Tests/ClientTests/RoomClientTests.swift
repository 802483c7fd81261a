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
    throw Room.Failure.ended
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
}

extension Room.Failure {
  fileprivate struct Ended: Error {}
  fileprivate static var ended: any Error { Ended() }
}

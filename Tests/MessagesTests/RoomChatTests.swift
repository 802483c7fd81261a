import MartletMessages
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct RoomChatTests {
  /// What happens to a draft that somebody publishes to a room's chat, or to another channel.
  private func publish(_ drafts: [Draft], to name: String = "rooms/lobby") async throws -> [String] {
    let workers = TestWorkers(1)
    defer { workers.stop() }
    await workers.run { hub, box in
      for draft in drafts {
        hub.publish(draft, to: .test(name)) { result in
          switch result {
          case .success: box.answers.append("taken")
          case .failure(let error): box.answers.append(error == .notSaid ? "refused" : "\(error)")
          }
        }
      }
    }
    try await workers.until { $1.answers.count == drafts.count }
    return await workers.run { $1.answers }
  }

  private static let claims = [
    #"{"from":"p1","name":"Ada","data":"hi"}"#, #" {"data":1,"\u0066rom":null} "#, "\n{\"from\":\"p1\",\"from\":\"p2\"}",
    // What other parsers read and this one does not.
    #"{"from":"p1","data":"\ud800"}"#, #"{"from":"p1","data":1e999}"#,
    #"{"from":"p1","data":"# + String(repeating: "[", count: 200) + String(repeating: "]", count: 200) + "}",
  ]

  @Test func `nobody passes for a participant by publishing, whatever the content type says`() async throws {
    for type in ["", "text/plain", "application/json"] {
      let drafts = Self.claims.map { Draft(.text, Slice(Array($0.utf8)), contentType: type) }
      #expect(try await publish(drafts) == drafts.map { _ in "refused" })
    }
  }

  @Test func `anything else is said from outside`() async throws {
    let texts = ["hi", "{smile}", #"{"data":{"from":"p1"}}"#, #"["from"]"#, #"{"name":"Ada"}"#, "{", ""]
    #expect(try await publish(texts.map { .test($0) }) == texts.map { _ in "taken" })
    #expect(try await publish([Draft(.binary, Slice(Array(Self.claims[0].utf8)))]) == ["taken"])
    #expect(try await publish([.test(Self.claims[0])], to: "chat/lobby") == ["taken"])
  }

  @Test func `a participant is heard, and once with the same key`() async throws {
    let workers = TestWorkers(1)
    defer { workers.stop() }
    await workers.run { hub, box in
      box.subscribers["s"] = TestSubscriber()
      box.subscribers["s"]?.subscribe(hub, .test("rooms/lobby"))
      for _ in 0..<2 { hub.say(.test(Self.claims[0], key: "p1\na"), in: .test("rooms/lobby")) }
    }
    try await workers.until { _, box in
      box.subscribers["s"]?.take()
      return box.subscribers["s"]?.text == "1:\(Self.claims[0]) "
    }
  }
}

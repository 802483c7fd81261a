import MartletPrimitives
import MartletSocketIO
import TestSupport
import Testing

func slice(_ text: String) -> Slice { Slice(Array(text.utf8)) }
func text(_ slice: Slice) -> String { String(repairing: slice.bytes) }

@Suite struct EnginePacketTests {
  // Engine.IO protocol 4, "HTTP long-polling", the examples.
  @Test func `a payload is packets with record separators between them`() throws {
    let packets = try EnginePayload.decode(slice("4hello\u{1E}2\u{1E}4world"), limits: EngineLimits())
    #expect(packets == [EnginePacket(.message, slice("hello")), EnginePacket(.ping), EnginePacket(.message, slice("world"))])
    let binary = try EnginePayload.decode(slice("4hello\u{1E}bAQIDBA=="), limits: EngineLimits())
    #expect(binary[1] == EnginePacket(.message, [1, 2, 3, 4], isBinary: true))
  }

  @Test func `a payload is bounded in bytes and in packets`() {
    var limits = EngineLimits()
    limits.payloadPackets = 2
    #expect(throws: ParseError.limit("packets of an Engine.IO payload", maximum: 2)) {
      try EnginePayload.decode(slice("4\u{1E}4\u{1E}4"), limits: limits)
    }
    limits.payloadBytes = 4
    #expect(throws: ParseError.limit("bytes of an Engine.IO payload", maximum: 4)) {
      try EnginePayload.decode(slice("4hello"), limits: limits)
    }
  }

  @Test(arguments: ["", "abc", "7", "4a\u{1E}", "\u{1E}4a", "b!!", "bA"]) func `what is no packet is refused`(_ body: String) {
    #expect(throws: ParseError.self) { try EnginePayload.decode(slice(body), limits: EngineLimits()) }
  }

  @Test func `text that is not UTF-8 is refused, since it would go on to others`() {
    #expect(throws: ParseError.self) { try EnginePayload.decode([0x34, 0xC3, 0x28], limits: EngineLimits()) }
  }

  @Test func `a message's frame holds what its polling form says`() {
    let message = EngineMessage(.message, String(repeating: "a", count: 200))
    #expect(message.frame.count == 4 + 201)
    #expect(text(message.packet) == "4" + String(repeating: "a", count: 200))
    let binary = EngineMessage(binary: Slice([1, 2, 3]).bytes)
    #expect(binary.frame == [0x82, 3, 1, 2, 3])
    #expect(binary.payloadCount == "bAQID".utf8.count + 1)
  }

  @Test func `garbage is a packet or an error, never a trap`() {
    var random = SeededRandom(seed: 11)
    for _ in 0..<4000 {
      let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        Bool.random(using: &random)
          ? UInt8.random(in: 0...255, using: &random) : [0x1E, 0x34, 0x62, 0x30].randomElement(using: &random) ?? 0
      }
      _ = try? EnginePayload.decode(Slice(bytes), limits: EngineLimits())
    }
  }

  @Test func `a request names a known transport, a known version and the right method`() {
    func refusal(_ query: [String: String], isGet: Bool = true, upgrade: Bool = false) -> EngineRefusal? {
      do throws(EngineRefusal) {
        _ = try EngineRequest({ query[$0] }, isGet: isGet, asksUpgrade: upgrade)
        return nil
      } catch { return error }
    }
    #expect(refusal(["transport": "polling", "EIO": "4"]) == nil)
    #expect(refusal(["EIO": "4"]) == .unknownTransport)
    #expect(refusal(["EIO": "4", "transport": "abc"]) == .unknownTransport)
    #expect(refusal(["transport": "polling"]) == .unsupportedVersion)
    #expect(refusal(["transport": "polling", "EIO": "3"]) == .unsupportedVersion)
    #expect(refusal(["transport": "polling", "EIO": "4"], isGet: false) == .badHandshakeMethod)
    #expect(refusal(["transport": "websocket", "EIO": "4"]) == .badRequest)
    #expect(refusal(["transport": "polling", "EIO": "4"], upgrade: true) == .badRequest)
    #expect(EngineRefusal.unknownSession.json == ["code": 1, "message": "Session ID unknown"])
    #expect(EngineRefusal.allCases.map(\.status) == [400, 400, 400, 400, 403, 400])
  }
}

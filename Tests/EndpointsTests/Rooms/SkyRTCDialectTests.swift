import MartletPrimitives
import Testing

@testable import MartletEndpoints

@Suite struct SkyRTCDialectTests {
  private func json(_ text: String) throws -> JSON { try JSON(parsing: Array(text.utf8)) }

  @Test(arguments: [
    (#"{"eventName":"__join","data":{"room":"a"}}"#, "eventName", "_"), (#"{"eventName":"join","data":{}}"#, "eventName", ""),
    (#"{"event":"join","data":{}}"#, "event", ""), (#"{"event":"__offer","data":{}}"#, "event", "__"),
  ])
  func `a client is answered as it began`(_ text: String, _ key: String, _ prefix: String) throws {
    let parsed = try #require(SkyRTCDialect.parse(try json(text)))
    #expect(parsed.dialect == SkyRTCDialect(key: key, prefix: prefix))
    #expect(["join", "offer"].contains(parsed.name))
    let others = parsed.dialect.peers(["p1"], you: "p2")
    #expect(others[key] == .string(prefix + "peers"))
    #expect(others["data"]?[prefix.isEmpty ? "socketIds" : "connections"] == ["p1"])
  }

  @Test func `what is not SkyRTC is not understood`() throws {
    for text in ["{}", "[]", "7", #"{"eventName":7}"#] { #expect(SkyRTCDialect.parse(try json(text)) == nil) }
  }

  @Test func `a description goes as text through the room and comes out whole`() throws {
    let data = try json(#"{"socketId":"p1","sdp":{"type":"offer","sdp":"v=0"}}"#)
    #expect(SkyRTCDialect.command("offer", data, to: "p1") == ["do": "offer", "to": "p1", "sdp": "v=0"])
    let heard = SkyRTCDialect(key: "eventName", prefix: "_").translate(["event": "offer", "from": "p2", "sdp": "v=0"])
    #expect(heard == ["eventName": "_offer", "data": ["sdp": ["type": "offer", "sdp": "v=0"], "socketId": "p2"]])
  }

  @Test func `a candidate keeps its section both ways`() throws {
    let data = try json(#"{"socketId":"p1","label":1,"id":"video","candidate":"candidate:1"}"#)
    let command = SkyRTCDialect.command("ice_candidate", data, to: "p1")
    #expect(command["candidate"] == ["candidate": "candidate:1", "sdpMid": "video", "sdpMLineIndex": 1])
    let event: JSON = ["event": "candidate", "from": "p2", "candidate": command["candidate"] ?? .null]
    let heard = SkyRTCDialect(key: "eventName", prefix: "_").translate(event)
    #expect(heard?["data"] == ["label": 1, "id": "video", "candidate": "candidate:1", "socketId": "p2"])
    // The end of the candidates has no word.
    #expect(SkyRTCDialect(key: "eventName", prefix: "_").translate(["event": "candidate", "from": "p2", "candidate": .null]) == nil)
  }

  @Test func `an event of the page's own reaches the other under its name`() throws {
    let data = try json(#"{"socketId":"p1","paused":true}"#)
    let command = SkyRTCDialect.command("pause", data, to: "p1")
    let heard = SkyRTCDialect(key: "eventName", prefix: "_").translate(["event": "signal", "from": "p2", "data": command["data"] ?? .null])
    #expect(heard == ["eventName": "_pause", "data": ["socketId": "p2", "paused": true]])
  }
}

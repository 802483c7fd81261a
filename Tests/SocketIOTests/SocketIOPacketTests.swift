import MartletPrimitives
import MartletSocketIO
import TestSupport
import Testing

@Suite struct SocketIOPacketTests {
  private func decode(_ text: String, _ attachments: [Slice] = [], limits: SocketIOLimits = SocketIOLimits()) throws -> SocketIOPacket? {
    var decoder = SocketIODecoder(limits: limits)
    var packet = try decoder.receive(slice(text), isBinary: false)
    for attachment in attachments { packet = try decoder.receive(attachment, isBinary: true) }
    return packet
  }

  // Socket.IO protocol 5, "Examples".
  static let vectors: [(SocketIOPacket, String, [Slice])] = [
    (SocketIOPacket(.connect), "0", []),
    (SocketIOPacket(.connect, namespace: "/admin", data: ["sid": "oSO0OpakMV_3jnilAAAA"]), #"0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}"#, []),
    (SocketIOPacket(.connectError, data: ["message": "Not authorized"]), #"4{"message":"Not authorized"}"#, []),
    (SocketIOPacket(.event, data: ["foo"]), #"2["foo"]"#, []),
    (SocketIOPacket(.event, namespace: "/admin", data: ["bar"]), #"2/admin,["bar"]"#, []),
    (
      SocketIOPacket(.event, data: ["baz", SocketIOPacket.placeholder(0)], attachments: [[1, 2, 3, 4]]),
      #"51-["baz",{"_placeholder":true,"num":0}]"#, [[1, 2, 3, 4]]
    ),
    (
      SocketIOPacket(
        .event, namespace: "/admin", data: ["baz", SocketIOPacket.placeholder(0), SocketIOPacket.placeholder(1)],
        attachments: [[1, 2], [3, 4]]), #"52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
      [[1, 2], [3, 4]]
    ),
    (SocketIOPacket(.event, id: 12, data: ["foo"]), #"212["foo"]"#, []),
    (SocketIOPacket(.ack, namespace: "/admin", id: 13, data: ["bar"]), #"3/admin,13["bar"]"#, []),
    (
      SocketIOPacket(.ack, id: 15, data: ["bar", SocketIOPacket.placeholder(0)], attachments: [[1, 2, 3, 4]]),
      #"61-15["bar",{"_placeholder":true,"num":0}]"#, [[1, 2, 3, 4]]
    ),
    (SocketIOPacket(.disconnect), "1", []),
    (SocketIOPacket(.disconnect, namespace: "/admin"), "1/admin,", []),
  ]

  @Test func `packets are written and read as the protocol's examples`() throws {
    for (packet, wire, attachments) in Self.vectors {
      let messages = packet.encoded
      #expect(text(messages[0].packet) == "4" + wire)
      #expect(messages.dropFirst().map(\.packet) == attachments)
      #expect(try decode(wire, attachments) == packet)
    }
  }

  @Test func `a namespace may end the packet, and its query is no part of it`() throws {
    #expect(try decode("0/custom")?.namespace == "/custom")
    #expect(try decode("0/custom?a=b,{}")?.namespace == "/custom")
  }

  @Test(arguments: [
    "", "7", "abc", "2", "2{}", "2[]", "2[null]", #"2["connect"]"#, "2abc[1]", "3[1]", "31{}", "0[]", "1{}", "5[\"a\"]", "5-[\"a\"]",
    #"51-["a",{"_placeholder":true,"num":1}]"#, #"51-["a",{"_placeholder":true,"num":-1}]"#, #"51-["a",{"_placeholder":true}]"#,
    "299999999999999999999[\"a\"]", "2/\u{1},[\"a\"]", "511-[\"a\"]",
  ]) func `what is no packet is refused`(_ wire: String) {
    #expect(throws: ParseError.self) { try decode(wire) }
  }

  @Test func `attachments are announced, counted and bounded`() {
    var decoder = SocketIODecoder()
    #expect(throws: ParseError.self) { try decoder.receive([1], isBinary: true) }
    var waiting = SocketIODecoder()
    _ = try? waiting.receive(slice(#"51-["a",{"_placeholder":true,"num":0}]"#), isBinary: false)
    #expect(throws: ParseError.self) { try waiting.receive(slice(#"2["b"]"#), isBinary: false) }
    var limits = SocketIOLimits()
    limits.attachmentBytes = 3
    #expect(throws: ParseError.limit("bytes of attachments", maximum: 3)) {
      try decode(#"51-["a",{"_placeholder":true,"num":0}]"#, [[1, 2, 3, 4]], limits: limits)
    }
  }

  @Test func `JSON is bounded in depth, a namespace in length`() {
    let deep = "2[\"a\"," + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "]"
    #expect(throws: ParseError.limit("depth of JSON", maximum: 32)) { try decode(deep) }
    #expect(throws: ParseError.limit("bytes of a namespace", maximum: 256)) { try decode("0/" + String(repeating: "n", count: 300)) }
  }

  @Test func `a packet that is cut short is refused or is a shorter packet, never a trap`() {
    for (_, wire, _) in Self.vectors {
      for count in 0..<wire.utf8.count { _ = try? decode(String(wire.prefix(count))) }
    }
    var random = SeededRandom(seed: 5)
    let alphabet = Array(#"0123456789-/,[]{}"_placeholdernumtrue:"#.utf8)
    for _ in 0..<5000 {
      var decoder = SocketIODecoder()
      let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      if let packet = try? decoder.receive(Slice(bytes), isBinary: false) {
        // Whatever is understood is written so that it is understood alike.
        var again = SocketIODecoder()
        let back = try? again.receive(packet.encoded[0].packet.dropFirst(1), isBinary: false)
        #expect(back == packet)
      }
    }
  }
}

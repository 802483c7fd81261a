import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// HTML Living Standard §9.2.5 (the grammar) and §9.2.6 (what a stream means).
@Suite struct EventStreamTests {
  private func parse(_ text: String, _ limits: EventStreamParser.Limits = .init()) throws -> (EventStreamParser, [ServerSentEvent]) {
    var (parser, events) = (EventStreamParser(limits: limits), [ServerSentEvent]())
    let bytes = Array(text.utf8)
    try parser.receive(bytes.span.bytes, into: &events)
    return (parser, events)
  }

  private func events(_ text: String) throws -> [ServerSentEvent] { try parse(text).1 }

  // The examples of §9.2.6.
  @Test func `the standard's examples read as it says`() throws {
    #expect(try events("data: YHOO\ndata: +2\ndata: 10\n\n") == [.init(data: "YHOO\n+2\n10")])
    let four = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
    #expect(
      try events(four) == [
        .init(id: "1", data: "first event"), .init(id: "", data: "second event"), .init(id: "", data: " third event"),
      ])
    // The last block has no blank line behind it.
    #expect(try events("data\n\ndata\ndata\n\ndata:") == [.init(data: ""), .init(data: "\n")])
    #expect(try events("data:test\n\ndata: test\n\n") == [.init(data: "test"), .init(data: "test")])
    #expect(
      try events("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n").map(\.event)
        == ["add", "remove", "add"])
  }

  @Test(arguments: ["\n", "\r", "\r\n"]) func `lines end with CR, LF or both, wherever the bytes are cut`(_ end: String) throws {
    let text = ["\u{FEFF}id: 7", "event: e", "data: ä", "data: b", "", ": c", "", "data: second", "", ""].joined(separator: end)
    let bytes = Array(text.utf8)
    for cut in 0...bytes.count {
      var (parser, found) = (EventStreamParser(), [ServerSentEvent]())
      for part in [Array(bytes[..<cut]), Array(bytes[cut...])] { try parser.receive(part.span.bytes, into: &found) }
      #expect(found == [.init(id: "7", event: "e", data: "ä\nb"), .init(id: "7", data: "second")])
    }
  }

  @Test func `one byte order mark is skipped, and no second`() throws {
    #expect(try events("\u{FEFF}data: x\n\n") == [.init(data: "x")])
    #expect(try events("\u{FEFF}\u{FEFF}data: x\n\n").isEmpty)
    #expect(try events("data: x\n\n\u{FEFF}data: y\n\n") == [.init(data: "x")])
    var (parser, found) = (EventStreamParser(), [ServerSentEvent]())
    // What only begins like a mark is a field of an unknown name.
    let bytes = [0xEF, 0xBB, 0x41, 0x0A] + Array("data: x\n\n".utf8)
    try parser.receive(bytes.span.bytes, into: &found)
    #expect(found == [.init(data: "x")])
  }

  @Test func `an id counts when its event is dispatched, also without data, and not with a NUL`() throws {
    var (parser, found) = try parse("id: 1\n")
    #expect(parser.lastEventID == "")
    (parser, found) = try parse("id: 1\n\n")
    #expect((parser.lastEventID, found.isEmpty) == ("1", true))
    (parser, found) = try parse("id: 1\n\nid: a\0b\ndata: x\n\n")
    #expect(found == [.init(id: "1", data: "x")])
    (parser, found) = try parse("id: 1\ndata: x\n\nid\n\n")
    #expect(parser.lastEventID == "")
  }

  @Test func `retry is digits alone`() throws {
    #expect(try parse("retry: 1500\n").0.retry == .milliseconds(1500))
    for wrong in ["retry: 1.5\n", "retry: -1\n", "retry\n", "retry: 1 \n", "retry: ١\n"] { #expect(try parse(wrong).0.retry == nil) }
    // However long.
    #expect(try parse("retry: 99999999999999999999999\n").0.retry == .milliseconds(86_400_000))
  }

  @Test func `an event's name lasts for one event, and unknown fields mean nothing`() throws {
    #expect(try events("event: a\n\ndata: x\n\n") == [.init(data: "x")])
    #expect(try events("Data: x\n data: y\nfoo: z\n\n").isEmpty)
    #expect(try events("event:\ndata: x\n\n") == [.init(data: "x")])
  }

  @Test func `bytes that are no UTF-8 are replaced`() throws {
    var (parser, found) = (EventStreamParser(), [ServerSentEvent]())
    let bytes = Array("data: ".utf8) + [0xFF, 0x41, 0x0A, 0x0A]
    try parser.receive(bytes.span.bytes, into: &found)
    #expect(found == [.init(data: "\u{FFFD}A")])
  }

  @Test func `a line and an event have a limit`() throws {
    var limits = EventStreamParser.Limits()
    (limits.line, limits.event) = (100, 250)
    #expect(throws: ParseError.self) { try parse(String(repeating: "x", count: 101), limits) }
    #expect(throws: ParseError.self) { try parse(String(repeating: "data: \(String(repeating: "x", count: 90))\n", count: 3), limits) }
    let lines = "data: \(String(repeating: "x", count: 90))\n\n"
    #expect(try parse(String(repeating: lines, count: 10), limits).1.count == 10)
    #expect(throws: ParseError.self) {
      try parse(
        "event: \(String(repeating: "x", count: 90))\n" + String(repeating: "data: \(String(repeating: "x", count: 90))\n", count: 2),
        limits)
    }
  }

  @Test func `an event that the end cuts off is dropped, at any byte`() throws {
    let bytes = Array("id: 1\ndata: x\n\nid: 2\nevent: e\ndata: y\n\n".utf8)
    for count in 0..<bytes.count {
      var (parser, found) = (EventStreamParser(), [ServerSentEvent]())
      let part = Array(bytes[..<count])
      try parser.receive(part.span.bytes, into: &found)
      #expect(found.count == (count < 15 ? 0 : 1))
      #expect(parser.lastEventID == (count < 15 ? "" : "1"))
    }
  }

  @Test func `garbage does no harm`() throws {
    var random = SeededRandom(seed: 11)
    let alphabet = Array("data:idevntry \r\n\n\r:0\0\u{FEFF}é".utf8)
    for _ in 0..<4000 {
      let bytes = (0..<Int.random(in: 0...120, using: &random)).map { _ in
        Bool.random(using: &random)
          ? alphabet[Int.random(in: 0..<alphabet.count, using: &random)] : UInt8.random(in: 0...255, using: &random)
      }
      var limits = EventStreamParser.Limits()
      (limits.line, limits.event) = (40, 60)
      var (parser, found) = (EventStreamParser(limits: limits), [ServerSentEvent]())
      _ = try? parser.receive(bytes.span.bytes, into: &found)
      #expect(parser.heldBytes <= 100)
    }
  }
}

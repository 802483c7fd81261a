import MartletHTTP
import MartletPrimitives
import TestSupport
import Testing

/// What a machine makes of `bytes`, fed in pieces of `step`.
struct WebSocketRun: Equatable {
  var events: [WebSocketMachine.Event] = []
  var error: WebSocketCloseCode?
  var output: [UInt8] = []
  var isClosed = false

  init(
    _ bytes: [UInt8], step: Int = .max, role: WebSocketMachine.Role = .server, limits: WebSocketMachine.Limits = .init(),
    compression: MessageCompression? = nil
  ) {
    var machine = WebSocketMachine(role, limits: limits, compression: compression)
    var offset = 0
    while offset < bytes.count, error == nil {
      let end = min(bytes.count, step == .max ? .max : offset + step)
      do throws(WebSocketError) {
        offset += try machine.receive(bytes.span.bytes.extracting(offset..<end), into: &events)
      } catch { self.error = error.code }
    }
    output = machine.takeOutput()
    isClosed = machine.isClosed
  }
}

/// A frame as a client sends it.
func masked(_ opcode: WebSocketOpcode, _ payload: [UInt8], fin: Bool = true, key: UInt32 = 0x37FA_213D) -> [UInt8] {
  WebSocketFrame.encode(opcode, payload.span.bytes, fin: fin, mask: key)
}

@Suite struct WebSocketTests {
  let hello = Array("Hello".utf8)

  // RFC 6455 §5.7.
  @Test func `the examples of the specification`() {
    #expect(masked(.text, hello) == [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58])
    #expect(WebSocketFrame.encode(.text, hello.span.bytes) == [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F])
    #expect(WebSocketFrame.header(.binary, length: 256) == [0x82, 0x7E, 0x01, 0x00])
    #expect(WebSocketFrame.header(.binary, length: 65536) == [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0])
    let fragments: [UInt8] = [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F]
    #expect(WebSocketRun(fragments, role: .client(maskSeed: [1])).events == [.message(.text, Slice(hello))])
  }

  @Test(arguments: [0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 70001])
  func `messages of every length form arrive whole`(count: Int) {
    let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let wire = masked(.binary, payload)
    for step in [.max, 1, 3, 13, 4096] where step != 1 || count < 2000 {
      #expect(WebSocketRun(wire, step: step).events == [.message(.binary, Slice(payload))])
    }
  }

  // §5.4: control frames may come between fragments; §5.5.2: a ping is answered with its payload.
  @Test func `a ping between fragments is answered at once`() {
    let wire =
      masked(.text, [0x48], fin: false) + masked(.ping, [9]) + masked(.continuation, [], fin: false) + masked(.continuation, [0x69])
    for step in 1...wire.count {
      let run = WebSocketRun(wire, step: step)
      #expect(run.events == [.ping([9]), .message(.text, [0x48, 0x69])] && run.output == [0x8A, 1, 9] && run.error == nil)
    }
  }

  // §5.5.3.
  @Test func `pings are all answered until too many answers wait, then the last one is`() {
    let few = WebSocketRun((0..<10).flatMap { masked(.ping, [UInt8($0)]) })
    #expect(few.output == (0..<10).flatMap { [0x8A, 1, UInt8($0)] })
    let flood = WebSocketRun((0..<100_000).flatMap { masked(.ping, [UInt8(truncatingIfNeeded: $0)]) })
    #expect(
      flood.output.count <= WebSocketMachine.maximumPongBytes + 127
        && flood.output.suffix(3) == [0x8A, 1, UInt8(truncatingIfNeeded: 99_999)])
  }

  // The owner answers what came before a violation or a Close: it gets the messages while it can still send.
  @Test func `messages in front of a violation or a Close are handed up first`() throws {
    for end in [[0xF1, 0x80, 0, 0, 0, 0], masked(.close, [3, 232])] {
      let wire = masked(.text, hello) + end
      var machine = WebSocketMachine(.server)
      var events: [WebSocketMachine.Event] = []
      let taken = try machine.receive(wire.span.bytes, into: &events)
      let isOpen = machine.isOpen
      #expect(events == [.message(.text, Slice(hello))] && isOpen && taken == wire.count - end.count)
      machine.send(.text, hello.span.bytes)
      _ = try? machine.receive(wire.span.bytes.extracting(taken..<wire.count), into: &events)
      let (output, isClosed) = (machine.takeOutput(), machine.isClosed)
      #expect(isClosed && output.starts(with: [0x81, 5] + hello + [0x88, end[0] == 0x88 ? 2 : output[8]]))
    }
  }

  // §5.3: masks of every phase and length, against the definition.
  @Test func `masking is byte i with key byte i mod 4`() {
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    for count in Array(0...80) + [1000, 4097] {
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let wire = masked(.binary, payload)
      let expected = payload.enumerated().map { $0.element ^ key[$0.offset & 3] }
      #expect(Array(wire.suffix(count)) == expected)
      for step in [1, 3, 7, 33] where count < 100 { #expect(WebSocketRun(wire, step: step).events == [.message(.binary, Slice(payload))]) }
    }
  }

  // §5.1, §5.2, §5.4, §5.5: each is a protocol error.
  @Test(
    arguments: [
      ("an unmasked frame from a client", [0x81, 0x00]), ("RSV1", [0xC1, 0x80, 0, 0, 0, 0]), ("RSV2", [0xA1, 0x80, 0, 0, 0, 0]),
      ("RSV3", [0x91, 0x80, 0, 0, 0, 0]), ("opcode 3", [0x83, 0x80, 0, 0, 0, 0]), ("opcode 7", [0x87, 0x80]), ("opcode 11", [0x8B, 0x80]),
      ("opcode 15", [0x8F, 0x80]), ("a fragmented ping", [0x09, 0x80]), ("a fragmented close", [0x08, 0x80]),
      ("a ping of 126 bytes", [0x89, 0xFE]), ("a close of 126 bytes", [0x88, 0xFE]),
      ("a continuation of nothing", [0x80, 0x80, 0, 0, 0, 0]),
      ("a message inside another", [0x01, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0]),
      ("a length of 125 in 16 bits", [0x82, 0xFE, 0, 125, 0, 0, 0, 0]),
      ("a length of 65535 in 64 bits", [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0]),
      ("a length with its top bit set", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      ("a close with half a code", [0x88, 0x81, 0, 0, 0, 0, 3]),
    ] as [(String, [UInt8])])
  func `closed with 1002`(what: String, bytes: [UInt8]) {
    let run = WebSocketRun(bytes)
    #expect(run.error == .protocolError && run.isClosed, "\(what)")
    #expect(run.output.starts(with: [0x88]) && Array(run.output.dropFirst(2).prefix(2)) == [0x03, 0xEA], "\(what)")
  }

  @Test func `a client refuses masked frames`() {
    #expect(WebSocketRun(masked(.text, hello), role: .client(maskSeed: [1])).error == .protocolError)
  }

  // §7.4.
  @Test func `close codes that may not be on the wire are refused`() {
    for code in 0..<5100 {
      let allowed = (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code)
      let run = WebSocketRun(masked(.close, [UInt8(code >> 8), UInt8(code & 255)]))
      #expect((run.error == nil) == allowed, "\(code)")
    }
  }

  // §5.5.1.
  @Test func `a close is answered with its code and nothing follows`() {
    let run = WebSocketRun(masked(.close, [0x03, 0xE9] + hello) + masked(.text, hello))
    #expect(run.events == [.closed(.goingAway, reason: "Hello")] && run.output == [0x88, 2, 0x03, 0xE9] && run.isClosed)
    let empty = WebSocketRun(masked(.close, []))
    #expect(empty.events == [.closed(.noStatus, reason: "")] && empty.output == [0x88, 0])
  }

  @Test func `our close is answered once and messages between are dropped`() throws {
    var machine = WebSocketMachine(.server)
    machine.close(.goingAway, reason: String(repeating: "é", count: 100))
    machine.send(.text, hello.span.bytes)
    let sent = machine.takeOutput()
    #expect(sent.count == 2 + 2 + 122 && !sent.isEmpty)
    let wire = masked(.text, hello) + masked(.ping, []) + masked(.close, [0x03, 0xE9])
    var events: [WebSocketMachine.Event] = []
    _ = try machine.receive(wire.span.bytes, into: &events)
    #expect(events == [.ping([]), .closed(.goingAway, reason: "")])
    let (rest, closed) = (machine.takeOutput(), machine.isClosed)
    #expect(rest.isEmpty && closed)
  }

  // §8.1: as soon as the bytes cannot be UTF-8 any more.
  @Test(
    arguments: [
      [0xFF], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF],
      [0xF0, 0x80, 0x80, 0x80],
      [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0x80], [0xC3, 0x28], [0xE2, 0x82, 0x28],
      [0x61, 0xE2, 0x28],
    ] as [[UInt8]])
  func `text that is not UTF-8 is 1007 before the message ends`(bytes: [UInt8]) {
    for step in 1...3 { #expect(WebSocketRun(masked(.text, bytes, fin: false), step: step).error == .invalidPayload) }
  }

  @Test func `text cut inside a character at its end is 1007`() {
    #expect(WebSocketRun(masked(.text, [0xE2, 0x82])).error == .invalidPayload)
    #expect(WebSocketRun(masked(.close, [0x03, 0xE8, 0xFF])).error == .invalidPayload)
  }

  @Test func `characters cut over fragments are text`() {
    let text = Array("κόσμε 𝄞 \u{10FFFF} \u{D7FF}\u{E000} plain ascii tail".utf8)
    for cut in 0...text.count {
      let wire = masked(.text, Array(text[..<cut]), fin: false) + masked(.continuation, Array(text[cut...]))
      #expect(WebSocketRun(wire).events == [.message(.text, Slice(text))])
    }
  }

  @Test func `the UTF-8 validator agrees with the standard library`() {
    var random = SeededRandom(seed: 9)
    let interesting: [UInt8] = [
      0x20, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF1, 0xF4, 0xF5,
    ]
    for _ in 0..<20000 {
      let bytes = (0..<Int.random(in: 0...5, using: &random)).map { _ in interesting.randomElement(using: &random) ?? 0 }
      var validator = UTF8Validator()
      let valid = validator.accept(bytes.span.bytes) && validator.isComplete
      #expect(valid == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
    }
  }

  @Test func `limits on frame, message and fragments are kept before memory is`() {
    var limits = WebSocketMachine.Limits()
    (limits.frame, limits.message, limits.fragments) = (100, 150, 3)
    let claim: [UInt8] = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]
    #expect(WebSocketRun(claim).error == .messageTooBig)
    #expect(WebSocketRun(masked(.binary, [UInt8](repeating: 0, count: 101)), limits: limits).error == .messageTooBig)
    let half = [UInt8](repeating: 0, count: 80)
    #expect(WebSocketRun(masked(.binary, half, fin: false) + masked(.continuation, half), limits: limits).error == .messageTooBig)
    let empty = masked(.continuation, [], fin: false)
    #expect(WebSocketRun(masked(.binary, [], fin: false) + empty + empty + empty, limits: limits).error == .policyViolation)
  }

  @Test func `client and server talk in every cut`() throws {
    var client = WebSocketMachine(.client(maskSeed: Array(0..<32)))
    client.send(.text, hello.span.bytes)
    client.send(.binary, [UInt8](repeating: 5, count: 300).span.bytes)
    client.ping([1, 2])
    client.close(.normal, reason: "done")
    let wire = client.takeOutput()
    for step in 1...wire.count {
      let run = WebSocketRun(wire, step: step)
      #expect(run.events.count == 4 && run.events[0] == .message(.text, Slice(hello)) && run.events[3] == .closed(.normal, reason: "done"))
      var other = WebSocketMachine(.client(maskSeed: [2]))
      other.close()
      var events: [WebSocketMachine.Event] = []
      var offset = 0
      let output = run.output
      while offset < output.count { offset += try other.receive(output.span.bytes.extracting(offset..<output.count), into: &events) }
      let closed = other.isClosed
      #expect(closed)
    }
  }

  @Test func `random frames never trap`() {
    var random = SeededRandom(seed: 21)
    let seed = masked(.text, hello, fin: false) + masked(.ping, [1]) + masked(.continuation, hello) + masked(.close, [0x03, 0xE8])
    for round in 0..<4000 {
      var bytes = round % 3 == 0 ? (0..<40).map { _ in UInt8.random(in: 0...255, using: &random) } : seed
      for _ in 0..<(round % 3) { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      #expect(WebSocketRun(bytes) == WebSocketRun(bytes, step: 1 + round % 7))
    }
  }
}

@Suite struct WebSocketHandshakeTests {
  static let key = "dGhlIHNhbXBsZSBub25jZQ=="
  func request(_ changes: (inout HTTPFields) -> Void = { _ in }, method: HTTPMethod = .get) throws -> HTTPRequest {
    var fields: HTTPFields = [
      "Host": "server.example.com", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": Self.key,
      "Sec-WebSocket-Version": "13",
    ]
    changes(&fields)
    return HTTPRequest(method: method, target: try HTTPTarget("/chat"), fields: fields)
  }

  func refusedStatus(_ request: HTTPRequest) -> Int? {
    if case .refuse(let response, _) = WebSocketHandshake.answer(request) { response.status.code } else { nil }
  }

  // RFC 6455 §1.3.
  @Test func `the example of the specification`() throws {
    let request = try request { $0.append("Sec-WebSocket-Protocol", "chat, superchat") }
    var terms = WebSocketHandshake.Terms()
    terms.subprotocols = ["superchat", "chat"]
    guard case .accept(let response, let agreement) = WebSocketHandshake.answer(request, terms) else {
      throw HTTPError(.badRequest, "refused")
    }
    #expect(response.status == .switchingProtocols && agreement.subprotocol == "chat")
    #expect(
      response.fields.first("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        && response.fields.first("Sec-WebSocket-Protocol") == "chat")
  }

  // §4.2.1, §4.2.2, §4.4.
  @Test func `a handshake that is wrong is refused with what would be right`() throws {
    let old = try request { $0.set("Sec-WebSocket-Version", "8") }
    guard case .refuse(let response, _) = WebSocketHandshake.answer(old) else { throw HTTPError(.badRequest, "accepted") }
    #expect(response.status == .upgradeRequired && response.fields.first("Sec-WebSocket-Version") == "13")
    #expect(refusedStatus(try request { $0.append("Sec-WebSocket-Version", "13") }) == 426)
    #expect(refusedStatus(try request { $0.remove("Sec-WebSocket-Version") }) == 426)
    #expect(refusedStatus(try request { $0.remove("Upgrade") }) == 426)
    #expect(refusedStatus(try request { $0.set("Connection", "keep-alive") }) == 426)
    #expect(refusedStatus(try request { $0.remove("Sec-WebSocket-Key") }) == 400)
    #expect(refusedStatus(try request { $0.append("Sec-WebSocket-Key", Self.key) }) == 400)
    #expect(refusedStatus(try request { $0.set("Sec-WebSocket-Key", "c2hvcnQ=") }) == 400)
    #expect(refusedStatus(try request { $0.append("Sec-WebSocket-Protocol", "a b") }) == 400)
    #expect(refusedStatus(try request(method: .post)) == 405)
  }

  // §10.2.
  @Test func `pages of other sites connect only where the origin is allowed`() throws {
    func status(_ origin: String?, _ origins: WebSocketOrigins, isSecure: Bool = false) throws -> Int {
      var terms = WebSocketHandshake.Terms()
      terms.origins = origins
      let request = try request { if let origin { $0.append("Origin", origin) } }
      switch WebSocketHandshake.answer(request, terms, isSecure: isSecure) {
      case .accept: return 101
      case .refuse(let response, _): return response.status.code
      }
    }
    let listed = WebSocketOrigins.exactly(["https://good.example"])
    #expect(try status(nil, listed) == 101 && status("http://server.example.com", listed) == 101)
    #expect(
      try status("http://server.example.com:80", listed) == 101 && status("https://server.example.com", listed, isSecure: true) == 101)
    #expect(try status("https://server.example.com", listed) == 403 && status("http://server.example.com:81", listed) == 403)
    #expect(try status("https://good.example", listed) == 101 && status("https://GOOD.example", listed) == 101)
    #expect(try status("https://bad.example", listed) == 403 && status("null", listed) == 403)
    #expect(try status("https://bad.example", .any) == 101)
    #expect(try status("https://bad.example", .cors(CORSPolicy(origins: .any))) == 101)
    #expect(try status("https://bad.example", .cors(CORSPolicy(origins: .exactly(["https://good.example"])))) == 403)
    let two = try request { fields in for origin in ["https://good.example", "https://bad.example"] { fields.append("Origin", origin) } }
    var terms = WebSocketHandshake.Terms()
    terms.origins = listed
    guard case .refuse = WebSocketHandshake.answer(two, terms) else { throw HTTPError(.badRequest, "accepted") }
  }

  // §4.2.2: without a match the connection is accepted without one; an endpoint may want it otherwise.
  @Test func `a subprotocol that nobody speaks is answered without one, or refused`() throws {
    var terms = WebSocketHandshake.Terms()
    terms.subprotocols = ["a"]
    let request = try request { $0.append("Sec-WebSocket-Protocol", "x, y") }
    guard case .accept(let response, .init()) = WebSocketHandshake.answer(request, terms) else { throw HTTPError(.badRequest, "refused") }
    #expect(!response.fields.contains("Sec-WebSocket-Protocol"))
    terms.requiresSubprotocol = true
    guard case .refuse(let refusal, _) = WebSocketHandshake.answer(request, terms) else { throw HTTPError(.badRequest, "accepted") }
    #expect(refusal.status == .badRequest)
    #expect(refusedStatus(try self.request { $0.append("Sec-WebSocket-Protocol", "a, a") }) == 400)
  }

  // RFC 8441 §5.1.
  @Test func `extended CONNECT is answered with 200 and no key`() throws {
    var request = HTTPRequest(method: .connect, target: try HTTPTarget("/chat"), version: .http2, fields: ["Sec-WebSocket-Version": "13"])
    request.connectProtocol = "websocket"
    guard case .accept(let response, .init()) = WebSocketHandshake.answer(request) else { throw HTTPError(.badRequest, "refused") }
    #expect(response.status == .ok && response.fields.isEmpty && WebSocketHandshake.isRequested(by: request))
  }

  // §4.1, the client's checks 1 to 6.
  @Test func `a client accepts what belongs to its key and nothing else`() throws {
    let url = try #require(URLReference("ws://h:81/a?b"))
    let client = try WebSocketClientHandshake(url, nonce: Array(0..<16), subprotocols: ["x", "y"], fields: ["Origin": "http://o"])
    var terms = WebSocketHandshake.Terms()
    terms.subprotocols = ["y"]
    terms.deflate.isEnabled = false
    guard case .accept(let good, _) = WebSocketHandshake.answer(client.request, terms) else {
      throw HTTPError(.badRequest, "refused")
    }
    #expect(
      try client.finish(good).subprotocol == "y" && client.request.fields.first("Host") == "h:81"
        && client.request.target.serialized == "/a?b")
    for change in [
      { $0.status = .ok }, { $0.fields.set("Sec-WebSocket-Accept", "x") }, { $0.fields.remove("Upgrade") },
      { $0.fields.remove("Connection") },
      { $0.fields.append("Sec-WebSocket-Extensions", "x-unknown") }, { $0.fields.set("Sec-WebSocket-Protocol", "z") },
    ] as [(inout HTTPResponse) -> Void] {
      var bad = good
      change(&bad)
      #expect(throws: HTTPError.self) { _ = try client.finish(bad) }
    }
  }
}

import MartletCrypto
import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import Synchronization
import TestSupport
import Testing

/// What happened to a session, for the test's thread.
private final class Notes: Sendable {
  private let lines = Mutex<[String]>([])
  func add(_ line: String) { lines.withLock { $0.append(line) } }
  var all: [String] { lines.withLock { $0 } }

  func until(_ condition: @Sendable ([String]) -> Bool) async throws -> [String] {
    for _ in 0..<2500 {
      if condition(all) { return all }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    throw RawClientError(reason: "in vain: \(all)")
  }
}

/// Notes everything, and acts.
private final class Owner: WebSocketHandler {
  let notes: Notes
  var onMessage: (WebSocketSession, WebSocketMachine.MessageKind, Slice) -> Void = { _, _, _ in }
  init(_ notes: Notes) { self.notes = notes }

  func webSocket(_ session: WebSocketSession, didReceive kind: WebSocketMachine.MessageKind, _ payload: Slice) {
    notes.add("\(kind) \(payload.count < 40 ? String(decoding: payload.array, as: UTF8.self) : "\(payload.count) bytes")")
    onMessage(session, kind, payload)
  }
  func webSocketDidClose(_ session: WebSocketSession, _ code: WebSocketCloseCode, _ reason: String) {
    notes.add("closed \(code.rawValue) \(reason)")
  }
}

/// Whole frames without end, so many bytes each.
private final class Frames: OutputSource {
  private let frame: Slice
  private var offset = 0
  init(_ count: Int) {
    frame = Slice(WebSocketFrame.encode(.binary, [UInt8](repeating: 7, count: count).span.bytes))
  }
  var isMidMessage: Bool { offset > 0 }
  var hasMore: Bool { true }
  func gather(into vector: IOVector, _ scope: GatherScope) {
    if offset > 0 { vector.append(frame, from: offset) }
    guard scope == .all else { return }
    for _ in 0..<4 { vector.append(frame) }
  }
  func advance(by count: Int) { offset = (offset + count) % frame.count }
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct WebSocketSessionTests {
  private let loopback: Loopback
  init() throws { loopback = try Loopback() }

  private let closeCode: [UInt8] = [3, 232]
  private static let handshake =
    "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    + "Sec-WebSocket-Version: 13\r\n\r\n"

  private func serve(
    secure: Bool = false, _ notes: Notes, _ configuration: WebSocketConfiguration = .init(), subprotocols: [String] = [],
    opened: @escaping @Sendable (WebSocketSession) -> Void = { _ in },
    message: @escaping @Sendable (WebSocketSession, WebSocketMachine.MessageKind, Slice) -> Void = { $0.send($1, $2) }
  ) async throws -> UInt16 {
    let options = WebSocketOptions(configuration, subprotocols: subprotocols)
    return try await loopback.serve(secure: secure) { router in
      router.on(.get, "/ws") { exchange, _ in
        guard let session = exchange.acceptWebSocket(options) else { return }
        let owner = Owner(notes)
        owner.onMessage = message
        session.handler = owner
        opened(session)
      }
    }
  }

  private func connect(
    _ url: String, _ notes: Notes, subprotocols: [String] = [], configuration: WebSocketConfiguration = .init(),
    opened: @escaping @Sendable (WebSocketSession) -> Void
  ) async throws {
    let request = WebSocketClient.Request(
      try #require(URLReference(url)), ["Origin": "http://h"], options: WebSocketOptions(configuration, subprotocols: subprotocols))
    let pem = loopback.certificate.certificatePEM
    await loopback.client.run { context in
      let client = WebSocketClient(trust: .pem(pem), in: context)
      client.open(request) { result in
        switch result {
        case .success(let session):
          let owner = Owner(notes)
          session.handler = owner
          notes.add("open \(session.subprotocol ?? "-")")
          opened(session)
        case .failure(let error): notes.add("failed \(error.code) \(error)")
        }
      }
    }
  }

  @Test(arguments: [false, true]) func `client and server talk, with a subprotocol and compression`(secure: Bool) async throws {
    defer { loopback.stop() }
    let (near, far) = (Notes(), Notes())
    let port = try await serve(secure: secure, far, subprotocols: ["b"]) { far.add("deflate \($0.usesDeflate) \($0.subprotocol ?? "-")") }
    try await connect("\(secure ? "wss" : "ws")://localhost:\(port)/ws", near, subprotocols: ["a", "b"]) { session in
      session.send(.text, Slice(Array("hello".utf8)))
      session.send(.text, Slice([UInt8](repeating: 0x61, count: 100_000)))
      session.send(.binary, Slice([UInt8](repeating: 1, count: 70_000)))
    }
    _ = try await near.until { $0.count == 4 }
    await loopback.client.run { _ in }
    #expect(near.all == ["open b", "text hello", "text 100000 bytes", "binary 70000 bytes"])
    #expect(far.all == ["deflate true b", "text hello", "text 100000 bytes", "binary 70000 bytes"])
  }

  @Test func `the closing handshake tells both ends, and a refusal says why`() async throws {
    defer { loopback.stop() }
    let (near, far) = (Notes(), Notes())
    let port = try await serve(far)
    try await connect("ws://127.0.0.1:\(port)/ws", near) { $0.close(.init(rawValue: 4321), reason: "done") }
    #expect(try await near.until { $0.count == 2 } == ["open -", "closed 4321 done"])
    #expect(try await far.until { $0.count == 1 } == ["closed 4321 done"])
    try await connect("ws://127.0.0.1:\(port)/other", near) { _ in }
    let failure = try await near.until { $0.count == 3 }
    #expect(failure[2].hasPrefix("failed badResponse the server answered 404"))
  }

  @Test func `frames sent right behind the handshake are read, also those behind a late answer`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    let port = try await loopback.serve { router in
      router.on(.get, "/ws") { exchange, _ in
        exchange.context.schedule(after: .milliseconds(50)) {
          guard let session = exchange.acceptWebSocket() else { return }
          session.handler = Owner(notes)
        }
      }
    }
    let frame = WebSocketFrame.encode(.binary, [UInt8](repeating: 1, count: 1000).span.bytes, mask: 7)
    let client = try RawClient(port: port)
    client.send(Array(Self.handshake.utf8) + (0..<300).flatMap { _ in frame })
    _ = try await notes.until { $0.count == 300 }
    client.send(WebSocketFrame.encode(.close, closeCode.span.bytes, mask: 7))
    #expect(try await notes.until { $0.count == 301 }.last == "closed 1000 ")
  }

  @Test func `a peer that never reads is closed with 1013, and what waits stays bounded`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    var configuration = WebSocketConfiguration()
    configuration.queue = 200_000
    configuration.closeTimeout = .milliseconds(200)
    configuration.deflate.isEnabled = false
    let port = try await serve(notes, configuration) { session in
      let payload = Slice([UInt8](repeating: 1, count: 50_000))
      func pump() {
        var most = 0
        // Whoever does not listen to the answer.
        for _ in 0..<4 where session.isOpen {
          session.send(.binary, payload)
          most = max(most, session.bufferedAmount)
        }
        if most > 300_000 { notes.add("\(most) bytes wait") }
        if session.isOpen { session.context.schedule(after: .milliseconds(1), pump) }
      }
      pump()
    }
    let client = try RawClient(port: port)
    client.send(Self.handshake)
    let lines = try await notes.until { !$0.isEmpty }
    #expect(lines == ["closed 1013 200000 bytes wait and are not read"])
    _ = client.receive(1)
  }

  // More than `pongRoom` waits and less than what makes `send` answer false: nothing else asks for another flush.
  @Test(arguments: [WebSocketOpcode.text, .ping])
  func `an answer that had to wait for a slow reader leaves when it reads`(question: WebSocketOpcode) async throws {
    defer { loopback.stop() }
    let notes = Notes()
    let port = try await serve(notes) { session in
      session.sink.boundKernelOutput()
      let filling = Slice([UInt8](repeating: 1, count: 20_000))
      func fill() {
        guard session.bufferedAmount < 80_000 else { return notes.add("full") }
        session.send(.binary, filling)
        session.context.schedule(after: .milliseconds(1), fill)
      }
      fill()
    }
    let client = try RawClient(port: port)
    client.send(Self.handshake)
    _ = try await notes.until { $0.contains("full") }
    client.send(WebSocketFrame.encode(question, Array("answer me".utf8).span.bytes, mask: 7))
    if question == .text { _ = try await notes.until { $0.last == "text answer me" } }
    let answer = WebSocketFrame.encode(question == .ping ? .pong : .text, Array("answer me".utf8).span.bytes)
    var tail: [UInt8] = []
    while tail != answer { tail = try Array((tail + #require(client.receive())).suffix(answer.count)) }
    client.send(WebSocketFrame.encode(.close, closeCode.span.bytes, mask: 7))
    _ = try await notes.until { $0.last?.hasPrefix("closed") == true }
  }

  // Each answer is a hundred times its question; thousands of questions come in one read.
  @Test func `an owner that answers much to a peer that does not read fills no more than the queue`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    var configuration = WebSocketConfiguration()
    configuration.queue = 500_000
    configuration.closeTimeout = .milliseconds(100)
    let most = Mutex(0)
    let port = try await serve(
      notes, configuration,
      message: { session, _, _ in
        session.send(.binary, Slice([UInt8](repeating: 0, count: 4000)))
        most.withLock { $0 = max($0, session.bufferedAmount) }
      })
    let frame = WebSocketFrame.encode(.binary, ([1, 2, 3] as [UInt8]).span.bytes, mask: 7)
    let client = try RawClient(port: port)
    client.send(Array(Self.handshake.utf8) + (0..<20_000).flatMap { _ in frame })
    _ = try await notes.until { $0.last?.hasPrefix("closed 1013") == true }
    #expect(most.withLock { $0 } < 600_000)
    _ = client.receive(1)
  }

  @Test func `a quiet peer is pinged, and cut off when it stays quiet`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    var configuration = WebSocketConfiguration()
    (configuration.ping, configuration.idle) = (.milliseconds(100), .milliseconds(300))
    let port = try await serve(notes, configuration)
    let client = try RawClient(port: port)
    client.send(Self.handshake)
    let bytes = client.receiveAll()
    #expect(bytes.suffix(2) == [0x89, 0])
    #expect(try await notes.until { $0.count == 1 }[0].hasPrefix("closed 1006 nothing came for 0."))
  }

  @Test func `a peer that answers no Close is cut off`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    var configuration = WebSocketConfiguration()
    configuration.closeTimeout = .milliseconds(100)
    let port = try await serve(notes, configuration) { $0.close(.goingAway, reason: "x") }
    let client = try RawClient(port: port)
    client.send(Self.handshake)
    #expect(client.receiveAll().suffix(5) == [0x88, 3, 3, 0xE9, 0x78])
    #expect(try await notes.until { !$0.isEmpty } == ["closed 1001 x"])
  }

  // DESIGN section 3, rule 1: a driver survives its owner's closing it from inside every event.
  @Test func `an owner may close, abort or send from inside a message`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    let port = try await serve(
      notes,
      message: { session, _, payload in
        switch payload.array.first {
        case 1: session.abort("test")
        case 2: session.close()
        default:
          session.send(.binary, payload)
          session.ping()
        }
      })
    for first in 1...3 as ClosedRange<UInt8> {
      let client = try RawClient(port: port)
      let frame = WebSocketFrame.encode(.binary, ([first] as [UInt8]).span.bytes, mask: 7)
      client.send(Array(Self.handshake.utf8) + frame + frame + WebSocketFrame.encode(.close, closeCode.span.bytes, mask: 7))
      _ = client.receiveAll()
    }
    let lines = try await notes.until { $0.filter { $0.hasPrefix("closed") }.count == 3 }
    #expect(lines.filter { $0.hasPrefix("closed") } == ["closed 1006 test", "closed 1000 ", "closed 1000 "])
  }

  @Test func `a source is pulled between whole messages, and a Close never breaks into one`() async throws {
    defer { loopback.stop() }
    let notes = Notes()
    let port = try await serve(notes) { session in
      session.attach(Frames(300_000))
      for delay in 1...20 { session.context.schedule(after: .milliseconds(delay)) { session.ping() } }
      session.context.schedule(after: .milliseconds(60)) { session.close(.init(rawValue: 4000), reason: "") }
    }
    let client = try RawClient(port: port)
    client.send(Self.handshake)
    var bytes = client.receiveAll(limit: 1 << 30)
    let head = try #require(String(decoding: bytes.prefix(400), as: UTF8.self).firstRange(of: "\r\n\r\n"))
    bytes.removeFirst(String(decoding: bytes.prefix(400), as: UTF8.self)[..<head.upperBound].utf8.count)
    var machine = WebSocketMachine(.client(maskSeed: [1]))
    var events: [WebSocketMachine.Event] = []
    var offset = 0
    while offset < bytes.count { offset += try machine.receive(bytes.span.bytes.extracting(offset..<bytes.count), into: &events) }
    let (pings, last) = (events.filter { $0 == .ping([]) }.count, events.last)
    #expect(pings == 20 && last == .closed(.init(rawValue: 4000), reason: ""))
    let isWhole = events.allSatisfy { if case .message(_, let payload) = $0 { payload.count == 300_000 } else { true } }
    #expect(isWhole && events.count > 22)
  }

  @Test func `a page of another site, a wrong version and a damaged key are refused in words`() async throws {
    defer { loopback.stop() }
    var configuration = WebSocketConfiguration()
    configuration.origins = .exactly(["https://good.example"])
    let port = try await serve(Notes(), configuration)
    func status(_ fields: [String]) throws -> (Int, String) {
      let answer = try RawClient.request("GET", "/ws", port: port, fields: fields)
      return (answer.status, answer.head)
    }
    let base = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    #expect(try status(base + ["Origin: https://bad.example"]).0 == 403)
    let old = try status(base.filter { !$0.contains("Version") } + ["Sec-WebSocket-Version: 8"])
    #expect(old.0 == 426 && old.1.contains("Sec-WebSocket-Version: 13"))
    #expect(try status(base.filter { !$0.contains("Key") } + ["Sec-WebSocket-Key: short"]).0 == 400)
  }
}

import MartletPrimitives
import MartletSocketIO
import Testing

/// A session with what it put out, and the time.
struct EngineBench: ~Copyable {
  var session: EngineSession
  var now = Instant.zero

  init(_ transport: EngineTransport = .polling, _ configuration: EngineConfiguration = EngineBench.quick) {
    session = EngineSession(sid: "s1", configuration, transport: transport, now: .zero)
  }

  static var quick: EngineConfiguration {
    var configuration = EngineConfiguration()
    configuration.pingInterval = .milliseconds(300)
    configuration.pingTimeout = .milliseconds(200)
    return configuration
  }

  /// Everything that came out, as words.
  mutating func drain() -> [String] {
    var lines: [String] = []
    while let output = session.pollOutput() {
      switch output {
      case .answerPoll(let body): lines.append("poll " + text(body).replacing("\u{1E}", with: "|"))
      case .refusePoll(let refusal): lines.append("poll refused \(refusal.rawValue)")
      case .frame(let frame): lines.append("frame " + text(frame.dropFirst(frame.bytes.byte(at: 1) == 126 ? 4 : 2)))
      case .closeSocket: lines.append("close socket")
      }
    }
    while let event = session.pollEvent() {
      switch event {
      case .message(let data, let isBinary): lines.append((isBinary ? "binary " : "message ") + text(data))
      case .upgraded: lines.append("upgraded")
      case .closed(let reason): lines.append("closed: \(reason.rawValue)")
      }
    }
    return lines
  }

  mutating func poll() -> [String] {
    do throws(EngineRefusal) { try session.poll() } catch { return ["refused \(error.rawValue)"] + drain() }
    return drain()
  }

  mutating func post(_ body: String) -> [String] {
    do throws(EngineRefusal) {
      try session.beginPost()
      try session.endPost(slice(body), now: now)
    } catch { return ["refused \(error.rawValue)"] + drain() }
    return drain()
  }

  mutating func attach() -> [String] {
    do throws(EngineRefusal) { try session.attachSocket(now: now) } catch { return ["refused \(error.rawValue)"] }
    return drain()
  }

  mutating func receive(_ message: String) -> [String] {
    session.receive(slice(message), isBinary: false, now: now)
    return drain()
  }

  mutating func wait(_ span: TimeSpan) -> [String] {
    let end = now + span
    while let deadline = session.deadline, deadline <= end {
      now = max(now, deadline)
      session.timeout(now: now)
    }
    now = end
    return drain()
  }

  mutating func send(_ message: String) { session.send(EngineMessage(.message, message)) }
}

@Suite struct EngineSessionTests {
  private let handshake =
    #"0{"sid":"s1","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}"#

  // "Handshake".
  @Test func `the first answer is the open packet`() {
    var polling = EngineBench()
    #expect(polling.drain() == ["poll " + handshake])
    var socket = EngineBench(.webSocket)
    #expect(socket.drain() == ["frame " + handshake.replacing(#"["websocket"]"#, with: "[]")])
  }

  // "Sending and receiving data".
  @Test func `a GET waits for a packet, and takes all there are`() {
    var bench = EngineBench()
    _ = bench.drain()
    #expect(bench.poll() == [])
    bench.send("a")
    bench.send("b")
    #expect(bench.drain() == ["poll 4a|4b"])
    bench.send("c")
    #expect(bench.drain() == [])
    bench.session.send(EngineMessage(binary: Slice([1, 2, 3, 4]).bytes))
    #expect(bench.poll() == ["poll 4c|bAQIDBA=="])
  }

  @Test func `a second GET closes the session: the first is told, the second refused`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    #expect(bench.poll() == ["refused 3", "poll 1", "closed: transport error"])
    #expect(bench.poll() == ["refused 1"])
  }

  @Test func `a second POST closes the session`() throws {
    var bench = EngineBench()
    _ = bench.drain()
    try bench.session.beginPost()
    #expect(bench.post("4a") == ["refused 3", "closed: transport error"])
  }

  @Test func `a body that is no payload closes the session`() {
    var bench = EngineBench()
    _ = bench.drain()
    #expect(bench.post("abc") == ["refused 3", "closed: parse error"])
    #expect(bench.poll() == ["refused 1"])
  }

  @Test func `a packet behind one that closes is not delivered`() {
    var bench = EngineBench()
    _ = bench.drain()
    #expect(bench.post("4a\u{1E}1\u{1E}4b") == ["message a", "closed: transport close"])
  }

  @Test func `a client that leaves in the middle of a poll has left`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    bench.session.pollAborted()
    #expect(bench.drain() == ["closed: transport error"])
  }

  // "Heartbeat".
  @Test func `the server pings, and closes when no pong comes`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    #expect(bench.wait(.milliseconds(299)) == [])
    #expect(bench.wait(.milliseconds(1)) == ["poll 2"])
    #expect(bench.wait(.milliseconds(100)) == [])
    #expect(bench.post("3") == [])
    #expect(bench.wait(.milliseconds(300)) == [])
    #expect(bench.poll() == ["poll 2"])
    _ = bench.poll()
    #expect(bench.wait(.milliseconds(200)) == ["poll 1", "closed: ping timeout"])
  }

  @Test func `a ping from the client is of an older protocol`() {
    var bench = EngineBench(.webSocket)
    _ = bench.drain()
    #expect(bench.receive("2") == ["close socket", "closed: parse error"])
  }

  // "Upgrade".
  @Test func `an upgrade ends the poll, keeps what was queued and goes on over the WebSocket`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    #expect(bench.attach() == [])
    #expect(bench.receive("2probe") == ["frame 3probe", "poll 6"])
    #expect(bench.poll() == ["poll 6"])
    bench.send("queued")
    #expect(bench.drain() == [])
    #expect(bench.receive("5") == ["frame 4queued", "upgraded"])
    bench.send("next")
    #expect(bench.drain() == ["frame 4next"])
    #expect(bench.poll() == ["refused 3"])
    #expect(bench.post("4a") == ["refused 3"])
    #expect(bench.attach() == ["refused 3"])
    #expect(bench.receive("4hello") == ["message hello"])
  }

  @Test func `a poll that is still there when the upgrade is complete is refused`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    _ = bench.attach()
    // Both in one turn.
    bench.session.receive(slice("2probe"), isBinary: false, now: .zero)
    #expect(bench.receive("5") == ["frame 3probe", "poll refused 3", "upgraded"])
  }

  @Test func `a candidate that breaks the rules, or takes too long, is dropped and polling goes on`() {
    for message in ["5", "4hello", "2", "2prob", "abc"] {
      var bench = EngineBench()
      _ = bench.drain()
      _ = bench.attach()
      #expect(bench.receive(message) == ["close socket"])
      bench.session.socketDidClose()
      bench.send("still")
      #expect(bench.poll() == ["poll 4still"])
    }
    var slow = EngineConfiguration()
    slow.upgradeTimeout = .seconds(1)
    var bench = EngineBench(.polling, slow)
    _ = bench.drain()
    _ = bench.attach()
    _ = bench.receive("2probe")
    #expect(bench.wait(.seconds(1)) == ["close socket"])
  }

  @Test func `only one WebSocket at a time may probe`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.attach()
    #expect(bench.attach() == ["refused 3"])
    bench.session.socketDidClose()
    #expect(bench.attach() == [])
  }

  // "Message", binary frames as they are.
  @Test func `a WebSocket carries binary messages unchanged`() {
    var bench = EngineBench(.webSocket)
    _ = bench.drain()
    bench.session.receive([1, 2], isBinary: true, now: .zero)
    #expect(bench.drain() == ["binary \u{1}\u{2}"])
  }

  // "Close".
  @Test func `a close packet ends a pending poll with a noop`() {
    var bench = EngineBench()
    _ = bench.drain()
    _ = bench.poll()
    #expect(bench.post("1") == ["poll 6", "closed: transport close"])
    var socket = EngineBench(.webSocket)
    _ = socket.drain()
    #expect(socket.receive("1") == ["close socket", "closed: transport close"])
  }

  @Test func `a poll that was on its way when the client closed hears a noop, and the next one nothing`() {
    var bench = EngineBench()
    _ = bench.drain()
    #expect(bench.post("1") == ["closed: transport close"])
    #expect(bench.poll() == ["poll 6"])
    #expect(bench.poll() == ["refused 1"])
  }

  @Test func `what the server said before it closed is heard by one more poll`() {
    var bench = EngineBench()
    _ = bench.drain()
    bench.send("bye")
    bench.session.close(now: bench.now)
    #expect(bench.drain() == ["closed: forced close"])
    let lingers = bench.session.isClosed
    #expect(!lingers)
    #expect(bench.poll() == ["poll 4bye|1"])
    #expect(bench.poll() == ["refused 1"])
    var silent = EngineBench()
    _ = silent.drain()
    silent.session.close(now: silent.now)
    _ = silent.wait(.milliseconds(200))
    #expect(silent.poll() == ["refused 1"])
  }

  @Test func `a client that never polls costs a bounded queue`() {
    var configuration = EngineBench.quick
    configuration.limits.queuedBytes = 100
    var bench = EngineBench(.polling, configuration)
    _ = bench.drain()
    for _ in 0..<20 { bench.send("0123456789") }
    #expect(bench.drain() == ["closed: queue overflow"])
  }

  @Test func `a message longer than maxPayload ends the connection`() {
    var configuration = EngineBench.quick
    configuration.limits.payloadBytes = 5
    var bench = EngineBench(.webSocket, configuration)
    _ = bench.drain()
    #expect(bench.receive("412345") == ["close socket", "closed: transport error"])
  }
}

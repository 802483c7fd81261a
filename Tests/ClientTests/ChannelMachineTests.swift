import MartletClient
import MartletPrimitives
import TestSupport
import Testing

/// The client's half of docs/channels.md, without a network: rule by rule.
@Suite struct ChannelMachineTests {
  /// A machine with a clock, and what it did.
  private struct Bench: ~Copyable {
    var machine: ChannelMachine
    var now = Instant.zero

    init(_ limits: ChannelMachine.Limits = .init()) {
      machine = ChannelMachine(limits: limits, random: SeededRandom(seed: 1))
    }

    mutating func actions() -> [ChannelMachine.Action] {
      var actions: [ChannelMachine.Action] = []
      while let action = machine.poll() { actions.append(action) }
      return actions
    }

    /// The commands that leave now.
    mutating func sent() throws -> [JSON] {
      var sent: [JSON] = []
      for case .send(let bytes, _) in actions() { sent.append(try JSON(parsing: bytes)) }
      return sent
    }

    mutating func hear(_ text: String) {
      let bytes = Array(text.utf8)
      machine.receive(bytes.span.bytes, binary: false, now: now)
    }

    mutating func pass(_ span: TimeSpan) {
      now = now + span
      machine.timeout(now: now)
    }

    /// Connected, greeted and subscribed to `chat` behind e:5.
    mutating func open() throws -> Int64 {
      let id = try machine.subscribe(.init(channel: "chat"), now: now)
      machine.connected(token: "t", now: now)
      _ = actions()
      hear(#"[{"id":2,"ok":true,"client":"m"},{"id":3,"ok":true,"channel":"chat","cursor":"e:5","lost":false}]"#)
      _ = actions()
      return id
    }
  }

  private func message(_ offset: Int, epoch: String = "e") -> String {
    #"{"channel":"chat","cursor":"\#(epoch):\#(offset)","time":1,"data":"m\#(offset)"}"#
  }

  private func names(_ actions: [ChannelMachine.Action]) -> [String] {
    actions.map { action in
      switch action {
      case .connect: "connect"
      case .send: "send"
      case .disconnect: "disconnect"
      case .deliver(_, .message(let message), _): message.cursor
      case .deliver(_, .lost(let cursor), _): "lost \(cursor)"
      case .deliver(_, .interrupted, _): "interrupted"
      case .deliver(_, .resumed, _): "resumed"
      case .deliver(_, .presence, _): "presence"
      case .end(_, let error): "end \(error)"
      case .answer(_, .success): "answer"
      case .answer(_, .failure(let error)): "failure \(error)"
      }
    }
  }

  @Test func `the token goes first, and commands do not wait for the answer`() throws {
    var bench = Bench()
    _ = try bench.machine.subscribe(.init(channel: "chat", start: .last(3), presence: true, info: Array("{}".utf8)), now: bench.now)
    let first = names(bench.actions())
    #expect(first == ["connect"])
    bench.machine.connected(token: "secret", now: bench.now)
    let sent = try bench.sent()
    #expect(sent.map { $0["do"] } == ["connect", "subscribe"])
    #expect(sent[0]["token"] == "secret")
    #expect(sent[1]["last"] == 3 && sent[1]["presence"] == true && sent[1]["info"] == [:])
  }

  @Test func `after a loss it asks for what is behind the last message, and what was seen is dropped`() throws {
    var bench = Bench()
    _ = try bench.open()
    bench.hear("[\(message(6)),\(message(7)),\(message(7)),\(message(6))]")
    var seen = names(bench.actions())
    #expect(seen == ["e:6", "e:7"])
    bench.machine.disconnected(.closed(4008, "slow"), now: bench.now)
    seen = names(bench.actions())
    #expect(seen == ["interrupted"])
    bench.pass(.seconds(1))
    seen = names(bench.actions())
    #expect(seen == ["connect"])
    bench.machine.connected(token: nil, now: bench.now)
    let sent = try bench.sent()
    #expect(sent.map { $0["since"] } == [nil, "e:7"])
    bench.hear(#"{"id":\#(sent[1]["id"]?.intValue ?? 0),"ok":true,"cursor":"f:0","lost":true}"#)
    bench.hear(message(1, epoch: "f"))
    // Somebody leaves one out.
    bench.hear(message(3, epoch: "f"))
    seen = names(bench.actions())
    #expect(seen == ["resumed", "lost f:0", "f:1", "lost f:3", "f:3"])
  }

  @Test(arguments: [(1000, true), (1001, true), (1006, true), (1012, true), (4000, true), (4499, true), (4500, false), (4999, false)])
  func `close codes from 4500 on are final, others are not`(_ code: UInt16, _ comesBack: Bool) throws {
    var bench = Bench()
    _ = try bench.open()
    _ = try bench.machine.history("chat", .last(1), limit: 1, now: bench.now)
    _ = bench.actions()
    bench.machine.disconnected(.closed(code, "why"), now: bench.now)
    let seen = names(bench.actions())
    #expect(seen == (comesBack ? ["interrupted"] : ["failure \(code): why", "end \(code): why"]))
    #expect((bench.machine.deadline != nil) == comesBack)
    // Whoever asks again is connected again.
    if !comesBack {
      _ = try bench.machine.subscribe(.init(channel: "chat"), now: bench.now)
      let again = names(bench.actions())
      #expect(again == ["connect"])
    }
  }

  @Test(arguments: [(401, false), (404, false), (408, true), (429, true), (500, true), (503, true), (200, true)])
  func `a handshake refused with a 4xx is final`(_ status: Int, _ comesBack: Bool) throws {
    var bench = Bench()
    _ = try bench.machine.subscribe(.init(channel: "chat"), now: bench.now)
    _ = bench.actions()
    bench.machine.disconnected(.refused(status, "no"), now: bench.now)
    let seen = names(bench.actions())
    #expect(seen == (comesBack ? [] : ["failure \(status): no", "end \(status): no"]))
  }

  @Test func `attempts come later and later, and a greeting ends that`() throws {
    var bench = Bench()
    _ = try bench.machine.subscribe(.init(channel: "chat"), now: bench.now)
    _ = bench.actions()
    var waits: [Double] = []
    for _ in 0..<8 {
      bench.machine.disconnected(.unreachable("x"), now: bench.now)
      let wait = (bench.machine.deadline ?? .distantFuture) - bench.now
      waits.append(wait.seconds)
      // Not so long that the subscription times out.
      bench.now = bench.now + .milliseconds(1)
      bench.machine.timeout(now: bench.now + .seconds(29))
      _ = bench.actions()
    }
    #expect((0.25...0.5).contains(waits[0]) && (4...8).contains(waits[4]))
  }

  @Test func `a request that was under way is sent again, in its order, with its key`() throws {
    var bench = Bench()
    _ = try bench.open()
    let ids = try (0..<3).map { try bench.machine.publish(.init(channel: "chat", content: .text("\($0)"), key: "k\($0)"), now: bench.now) }
    _ = bench.actions()
    bench.hear(#"{"id":\#(ids[1]),"ok":true,"cursor":"e:6"}"#)
    _ = bench.actions()
    bench.machine.disconnected(.closed(1006, ""), now: bench.now)
    bench.pass(.seconds(1))
    bench.machine.connected(token: nil, now: bench.now)
    let sent = try bench.sent()
    #expect(sent.map { $0["key"]?.stringValue } == [nil, nil, "k0", "k2"])
    // A connection that ends because of what was sent must not see it again.
    bench.machine.disconnected(.closed(1009, "too big"), now: bench.now)
    let seen = names(bench.actions())
    #expect(seen == ["failure 1009: too big", "failure 1009: too big"])
  }

  @Test func `no more commands are under way than the server takes`() throws {
    var limits = ChannelMachine.Limits()
    (limits.inFlight, limits.requests) = (8, 20)
    var bench = Bench(limits)
    _ = try bench.open()
    for _ in 0..<20 { _ = try bench.machine.presence("chat", now: bench.now) }
    #expect(throws: ChannelError.overloaded) { try bench.machine.presence("chat", now: bench.now) }
    var sent = try bench.sent()
    #expect(sent.count == 8)
    for command in sent.prefix(3) { bench.hear(#"{"id":\#(command["id"]?.intValue ?? 0),"ok":true,"members":[]}"#) }
    sent = try bench.sent()
    #expect(sent.count == 3)
  }

  @Test func `what is not answered in time fails, connected or not`() throws {
    var bench = Bench()
    _ = try bench.open()
    _ = try bench.machine.presence("chat", now: bench.now)
    _ = bench.actions()
    bench.pass(.seconds(30))
    var seen = names(bench.actions())
    #expect(seen == ["failure the server did not answer in 30.0 s"])
    var other = Bench()
    _ = try other.machine.subscribe(.init(channel: "chat"), now: other.now)
    other.machine.disconnected(.unreachable("nobody"), now: other.now)
    _ = other.actions()
    other.pass(.seconds(30))
    seen = names(other.actions())
    #expect(seen.prefix(2) == ["failure no connection for 30.0 s: nobody", "end no connection for 30.0 s: nobody"])
  }

  @Test func `a token that no longer allows a channel ends its subscription`() throws {
    var bench = Bench()
    _ = try bench.open()
    let id = try bench.machine.refresh("new", now: bench.now)
    _ = bench.actions()
    bench.hear(#"{"id":\#(id),"channel":"chat","error":{"code":103,"message":"chat: no","retry":false}}"#)
    let seen = names(bench.actions())
    #expect(seen == ["end 103: chat: no", "failure 103: chat: no"])
    bench.hear(message(6))
    let behind = names(bench.actions())
    #expect(behind.isEmpty)
  }

  @Test func `a busy server is asked again after a while, for everything`() throws {
    func error(_ id: JSON?, _ code: Int) -> String { #"{"id":\#(id?.intValue ?? 0),"error":{"code":\#(code),"message":"x"}}"# }
    var bench = Bench()
    _ = try bench.open()
    _ = try bench.machine.subscribe(.init(channel: "other"), now: bench.now)
    _ = try bench.machine.presence("chat", now: bench.now)
    var sent = try bench.sent()
    #expect(sent.map { $0["do"] } == ["subscribe", "presence"])
    for command in sent { bench.hear(error(command["id"], 200)) }
    _ = try bench.machine.publish(.init(channel: "chat", content: .text("x"), key: "k"), now: bench.now)
    sent = try bench.sent()
    #expect(sent.isEmpty)
    bench.pass(.milliseconds(200))
    sent = try bench.sent()
    #expect(sent.map { $0["do"] } == ["subscribe", "presence", "publish"])
    // Another failure is the caller's, but for who was subscribed already.
    for command in sent { bench.hear(error(command["id"], 201)) }
    let seen = names(bench.actions())
    #expect(seen == ["failure 201: x", "end 201: x", "failure 201: x", "failure 201: x"])
    bench.machine.disconnected(.closed(1001, ""), now: bench.now)
    bench.pass(.seconds(1))
    bench.machine.connected(token: nil, now: bench.now)
    sent = try bench.sent()
    bench.hear(error(sent[1]["id"], 201))
    bench.pass(.seconds(1))
    sent = try bench.sent()
    #expect(sent.map { $0["since"] } == ["e:5"])
  }

  @Test func `a server that speaks something else is left`() throws {
    for text in ["", "x", "[1]", "{}", #"{"channel":"chat"}"#, #"{"channel":"chat","cursor":"e:6"}"#] {
      var bench = Bench()
      _ = try bench.open()
      bench.hear(text)
      let seen = names(bench.actions())
      #expect(seen == ["disconnect", "interrupted"], "\(text)")
    }
  }

  @Test func `garbage does no harm`() throws {
    var random = SeededRandom(seed: 3)
    let words = [
      "{", "}", "[", "]", ",", ":", "\"id\"", "\"ok\"", "true", "\"channel\"", "\"chat\"", "\"cursor\"", "\"e:6\"",
      "\"e:99999999999999999999\"",
      "\"data\"", "\"error\"", "\"code\"", "3", "-9e99", "\"presence\"", "\"member\"", "null", "\"b64\"", "\"===\"",
    ]
    for _ in 0..<3000 {
      var bench = Bench()
      _ = try bench.open()
      let id = try bench.machine.history("chat", .now, limit: .max, now: bench.now)
      let isText = Bool.random(using: &random)
      var bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      if isText {
        let text = (0..<Int.random(in: 1...16, using: &random)).map { _ in words[Int.random(in: 0..<words.count, using: &random)] }.joined()
        bytes = Array((Bool.random(using: &random) ? text : "{\"id\":\(id),\"ok\":true,\(text)}").utf8)
      }
      bench.machine.receive(bytes.span.bytes, binary: !isText, now: bench.now)
      bench.pass(.seconds(40))
      bench.machine.close()
      let last = bench.actions().last
      #expect(last != nil)
    }
  }
}

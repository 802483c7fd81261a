import MartletPrimitives
import MartletSocketIO
import Testing

@Suite struct SocketIOSessionTests {
  private struct Bench: ~Copyable {
    var session = SocketIOSession(connectTimeout: .seconds(1), now: .zero)

    mutating func receive(_ packets: String...) -> [String] {
      for packet in packets {
        do throws(ParseError) { try session.receive(slice(packet), isBinary: false) } catch { return ["violation"] }
      }
      return drain()
    }

    mutating func drain() -> [String] {
      var lines: [String] = []
      while let event = session.pollEvent() {
        switch event {
        case .connecting(let namespace, let auth, let recovery):
          lines.append("connecting \(namespace) \(auth)" + (recovery.map { " \($0.pid) \($0.offset)" } ?? ""))
        case .event(let namespace, let event):
          lines.append("event \(namespace) \(event.name) \(JSON.array(event.arguments))" + (event.id.map { " #\($0)" } ?? ""))
        case .acknowledged(let id, let answer): lines.append("acknowledged \(id) \(JSON.array(answer.arguments))")
        case .unacknowledged(let id): lines.append("unacknowledged \(id)")
        case .disconnected(let namespace): lines.append("disconnected \(namespace)")
        case .expired: lines.append("expired")
        }
      }
      while let message = session.pollOutput() { lines.append("> " + text(message.packet)) }
      return lines
    }
  }

  // "Connection to a namespace".
  @Test func `a client asks into a namespace with its auth, and is let in or refused`() {
    var bench = Bench()
    #expect(bench.receive(#"0{"token":"123"}"#, "0/admin,") == [#"connecting / {"token":"123"}"#, "connecting /admin {}"])
    bench.session.accept("/", sid: "a")
    bench.session.refuse("/admin", message: "Not authorized", data: ["code": 7])
    #expect(bench.drain() == [#"> 40{"sid":"a"}"#, #"> 44/admin,{"message":"Not authorized","data":{"code":7}}"#])
    #expect(bench.receive(#"2["hello",1]"#) == ["event / hello [1]"])
  }

  @Test func `connection state recovery hands the private id and the offset on, and gives a private id out`() {
    var bench = Bench()
    #expect(bench.receive(#"0{"pid":"p","offset":"o"}"#) == [#"connecting / {"pid":"p","offset":"o"} p o"#])
    bench.session.accept("/", sid: "a", pid: "p")
    #expect(bench.drain() == [#"> 40{"sid":"a","pid":"p"}"#])
  }

  @Test func `a packet for a namespace that was not joined is a violation`() {
    var bench = Bench()
    #expect(bench.receive(#"2["early"]"#) == ["violation"])
    var asking = Bench()
    _ = asking.receive("0")
    #expect(asking.receive(#"2["early"]"#) == ["violation"])
    var second = Bench()
    _ = second.receive("0")
    #expect(second.receive("0") == ["violation"])
  }

  @Test func `the number of namespaces is bounded`() {
    var bench = Bench()
    for index in 0..<32 { #expect(bench.receive("0/n\(index)").count == 1) }
    #expect(bench.receive("0/more") == ["violation"])
  }

  // "Acknowledgement".
  @Test func `acknowledgements go both ways`() {
    var bench = Bench()
    _ = bench.receive("0")
    bench.session.accept("/", sid: "a")
    _ = bench.drain()
    #expect(bench.receive(#"212["foo"]"#) == ["event / foo [] #12"])
    bench.session.acknowledge(12, SocketIOAnswer(["bar"]), in: "/")
    #expect(bench.drain() == [#"> 4312["bar"]"#])
    let id = bench.session.emit(SocketIOEvent("ask", [1]), in: "/", acknowledgeBy: Instant.zero + .seconds(5))
    #expect(id == 1)
    #expect(bench.drain() == [#"> 421["ask",1]"#])
    #expect(bench.receive("31[true]") == ["acknowledged 1 [true]"])
    #expect(bench.receive("31[true]") == [])
  }

  @Test func `an acknowledgement that does not come in time, or whose namespace is left, is said to be missing`() {
    var bench = Bench()
    _ = bench.receive("0")
    bench.session.accept("/", sid: "a")
    _ = bench.session.emit(SocketIOEvent("ask"), in: "/", acknowledgeBy: Instant.zero + .seconds(5))
    _ = bench.session.emit(SocketIOEvent("ask"), in: "/", acknowledgeBy: Instant.zero + .seconds(50))
    _ = bench.drain()
    bench.session.timeout(now: Instant.zero + .seconds(5))
    #expect(bench.drain() == ["unacknowledged 1"])
    #expect(bench.receive("1") == ["unacknowledged 2", "disconnected /"])
  }

  // "Disconnection from a namespace".
  @Test func `a namespace is left by either side while the others go on`() {
    var bench = Bench()
    _ = bench.receive("0", "0/custom")
    bench.session.accept("/", sid: "a")
    bench.session.accept("/custom", sid: "b")
    _ = bench.drain()
    #expect(bench.receive("1/custom", #"2["message"]"#) == ["disconnected /custom", "event / message []"])
    bench.session.disconnect("/")
    #expect(bench.drain() == ["> 41"])
    // Under way when the client was put out.
    #expect(bench.receive(#"2["late"]"#) == [])
    #expect(bench.receive("0") == ["connecting / {}"])
  }

  @Test func `a client that joins nothing is closed`() {
    var bench = Bench()
    let deadline = bench.session.deadline
    #expect(deadline == Instant.zero + .seconds(1))
    bench.session.timeout(now: Instant.zero + .seconds(1))
    #expect(bench.drain() == ["expired"])
    var joined = Bench()
    _ = joined.receive("0")
    joined.session.accept("/", sid: "a")
    _ = joined.drain()
    joined.session.timeout(now: Instant.zero + .seconds(10))
    #expect(joined.drain() == [])
  }

  @Test func `a broadcast is encoded once, and both kinds of transport share its bytes`() {
    let wire = SocketIOEvent("news", ["x"]).packet(in: "/").encoded
    var bench = Bench()
    bench.session.send(wire, in: "/")
    #expect(bench.drain() == [])
    _ = bench.receive("0")
    bench.session.accept("/", sid: "a")
    _ = bench.drain()
    bench.session.send(wire, in: "/")
    #expect(bench.drain() == [#"> 42["news","x"]"#])
    #expect(wire[0].frame.dropFirst(2) == wire[0].packet)
  }

  @Test func `violations that only servers could commit are refused`() {
    var bench = Bench()
    _ = bench.receive("0")
    bench.session.accept("/", sid: "a")
    #expect(bench.receive(#"4{"message":"x"}"#) == ["violation"])
  }
}

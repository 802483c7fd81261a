@testable import MartletClient
import MartletPrimitives
import Testing

/// Tracks are numbers here.
@Suite struct RoomMachineTests {
  private typealias Machine = RoomMachine<Int>

  private static func at(_ milliseconds: Int) -> Instant { Instant.zero + .milliseconds(milliseconds) }

  private static func greeting(_ topology: String, _ ids: String..., generation: Int64 = 0) throws -> RoomGreeting {
    let room: JSON = ["topology": .string(topology), "generation": .int(generation), "supernode": "node"]
    return try #require(
      RoomGreeting(["participant": "me", "room": room, "participants": .array(ids.map { ["id": .string($0), "name": .string($0)] })]))
  }

  /// What it decided, in words.
  private func drain(_ machine: inout Machine) -> [String] {
    var words: [String] = []
    while let output = machine.pollOutput() {
      switch output {
      case .open(let id, let isLater): words.append("open \(id)\(isLater ? " later" : "")")
      case .carry(let id, let hasMedia): words.append(hasMedia ? "carry \(id)" : "data to \(id)")
      case .begin(let id): words.append("begin \(id)")
      case .close(let id): words.append("close \(id)")
      case .openServer: words.append("open server")
      case .closeServer: words.append("close server")
      case .subscribe(let wanted): words.append("subscribe \(wanted.map { "\($0.participant) \($0.source)" }.sorted().joined(separator: ", "))")
      case .tell(let id, let json): words.append("tell \(id) \(json)")
      case .track(let id, let source, let track): words.append("\(id) \(source) \(track)")
      case .trackEnded(let id, let source): words.append("\(id) \(source) ended")
      case .report(let ids): words.append("unreachable \(ids.joined(separator: " "))")
      case .ended(let failure): words.append("ended \(failure.code)")
      case .joined(let id): words.append("joined \(id)")
      case .left(let member, let reason): words.append("left \(member.description.id) \(reason)")
      case .signal(let signal, let id): words.append("signal \(id) \(signal)")
      case .data(let id, let json): words.append("data \(id) \(json)")
      case .check: words.append("check")
      default: break
      }
    }
    return words
  }

  private func topology(_ name: String, _ generation: Int64, supernode: String? = nil) -> RoomNotice {
    .topology(RoomArrangement(["topology": .string(name), "generation": .int(generation), "supernode": supernode.map { .string($0) } ?? .null]))
  }

  // docs/rooms.md, "Who connects to whom".
  @Test func `who came later makes the offer, to each in a mesh`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "ada"), now: Self.at(0))
    #expect(drain(&machine) == ["joined ada", "open ada later", "carry ada", "begin ada"])
    machine.receive(.joined(RoomMember(id: "eve")), now: Self.at(1))
    #expect(drain(&machine) == ["joined eve", "open eve", "carry eve"])
    // What somebody says who has not been heard of waits for that.
    machine.receive(.signal(.offer("o"), from: "bob"), now: Self.at(2))
    #expect(drain(&machine) == [])
    machine.receive(.joined(RoomMember(id: "bob")), now: Self.at(3))
    #expect(drain(&machine) == ["joined bob", "open bob", "carry bob", "signal bob offer(\"o\")"])
    machine.receive(.left("bob", reason: "left"), now: Self.at(4))
    #expect(drain(&machine) == ["close bob", "left bob left"])
  }

  @Test func `from a mesh to the server each track goes on where it was until the new one flows, and then the connection ends`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "ada"), now: Self.at(0))
    machine.link("ada", became: .connected, now: Self.at(1))
    machine.link("ada", carries: ["ada": [.microphone: 1, .camera: 2]])
    machine.didFlow(1)
    machine.didFlow(2)
    #expect(drain(&machine).suffix(2) == ["ada microphone 1", "ada camera 2"])
    machine.receive(topology("sfu", 1), now: Self.at(2))
    machine.receive(.tracks("ada", [.microphone, .camera]), now: Self.at(3))
    #expect(drain(&machine) == ["open server", "subscribe ", "subscribe ada camera, ada microphone"])
    machine.server(became: .connected)
    machine.server(carries: ["ada": [.microphone: 11, .camera: 12]])
    #expect(drain(&machine) == [])
    machine.didFlow(11)
    #expect(drain(&machine) == ["ada microphone 11"])
    machine.didFlow(12)
    #expect(drain(&machine) == ["ada camera 12", "tell ada {\"handover\":1}"])
    // The other one needs our old connection still.
    machine.hear(["handover": 0], from: "ada", now: Self.at(4))
    #expect(drain(&machine) == [])
    machine.hear(["handover": 1], from: "ada", now: Self.at(5))
    #expect(drain(&machine) == ["close ada"])
    // And back.
    machine.receive(topology("mesh", 2), now: Self.at(6))
    #expect(drain(&machine) == ["open ada later", "carry ada", "begin ada"])
    machine.link("ada", became: .connected, now: Self.at(7))
    machine.link("ada", carries: ["ada": [.microphone: 21]])
    machine.didFlow(21)
    // The camera comes by the server alone.
    #expect(drain(&machine) == ["ada microphone 21"])
    machine.hear(["handover": 2], from: "ada", now: Self.at(8))
    machine.link("ada", carries: ["ada": [.microphone: 21, .camera: 22]])
    machine.didFlow(22)
    #expect(drain(&machine) == ["ada camera 22", "tell ada {\"handover\":2}", "close server"])
  }

  @Test func `one that never says that it is done is waited for ten seconds`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "ada"), now: Self.at(0))
    machine.link("ada", became: .connected, now: Self.at(0))
    machine.receive(topology("sfu", 1), now: Self.at(0))
    machine.server(became: .connected)
    #expect(drain(&machine).last == "tell ada {\"handover\":1}")
    #expect(machine.deadline == Self.at(10_000))
    machine.timeout(now: Self.at(9_999))
    #expect(drain(&machine) == [])
    machine.timeout(now: Self.at(10_000))
    #expect(drain(&machine) == ["close ada"])
    #expect(machine.deadline == nil)
  }

  @Test func `with a supernode all comes over the connection to it, and those to the others end`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "node", "ada"), now: Self.at(0))
    for id in ["node", "ada"] { machine.link(id, became: .connected, now: Self.at(1)) }
    machine.link("node", carries: ["node": [.camera: 1]])
    machine.link("ada", carries: ["ada": [.camera: 2]])
    for track in [1, 2] { machine.didFlow(track) }
    _ = drain(&machine)
    machine.receive(topology("supernode", 1, supernode: "node"), now: Self.at(2))
    #expect(drain(&machine) == ["carry node", "begin node", "tell node {\"handover\":1}"])
    machine.link("node", carries: ["node": [.camera: 1], "ada": [.camera: 3]])
    #expect(drain(&machine) == [])
    machine.didFlow(3)
    #expect(drain(&machine) == ["ada camera 3", "tell ada {\"handover\":1}"])
    machine.hear(["handover": 1], from: "ada", now: Self.at(3))
    #expect(drain(&machine) == ["close ada"])
    // It leaves, with all that it passed on.
    machine.receive(.left("node", reason: "timeout"), now: Self.at(4))
    #expect(drain(&machine) == ["close node", "ada camera ended", "node camera ended", "left node timeout"])
    machine.receive(topology("mesh", 2), now: Self.at(5))
    #expect(drain(&machine) == ["open ada later", "carry ada", "begin ada"])
  }

  @Test func `who cannot be reached for ten seconds is told to the server once, and again when it can`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "ada", "bob"), now: Self.at(0))
    for id in ["ada", "bob"] { machine.link(id, became: .connecting, now: Self.at(0)) }
    machine.link("bob", became: .connected, now: Self.at(500))
    _ = drain(&machine)
    machine.timeout(now: Self.at(10_000))
    #expect(drain(&machine) == ["unreachable ada"])
    machine.link("ada", became: .lost, now: Self.at(11_000))
    machine.timeout(now: Self.at(30_000))
    #expect(drain(&machine) == [])
    machine.link("ada", became: .connected, now: Self.at(31_000))
    #expect(drain(&machine) == ["unreachable "])
  }

  @Test func `another participant after too long an absence connects anew to everybody`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "ada", "bob"), now: Self.at(0))
    _ = drain(&machine)
    machine.enter(try Self.greeting("mesh", "ada"), now: Self.at(1))
    #expect(drain(&machine) == ["close ada", "close bob", "left bob left", "open ada later", "carry ada", "begin ada"])
    // The same one, who has missed something.
    machine.catchUp(try Self.greeting("mesh", "ada", "eve"), now: Self.at(2))
    #expect(drain(&machine) == ["joined eve", "open eve", "carry eve"])
    machine.catchUp(try Self.greeting("sfu", "eve", generation: 1), now: Self.at(3))
    #expect(drain(&machine).prefix(3) == ["close ada", "left ada left", "open server"])
  }

  @Test func `our own end is that of the inbox, where it says why`() throws {
    var machine = Machine()
    machine.enter(try Self.greeting("mesh"), now: Self.at(0))
    machine.receive(.left("me", reason: "timeout"), now: Self.at(1))
    #expect(drain(&machine) == ["check"])
    machine.receive(.left("me", reason: "kicked"), now: Self.at(2))
    machine.receive(.ended(Room.Failure(.kicked, "enough")), now: Self.at(3))
    machine.timeout(now: Self.at(2000))
    #expect(drain(&machine) == ["ended kicked"])
    machine.receive(.left("me", reason: "moved"), now: Self.at(3000))
    machine.timeout(now: Self.at(4000))
    #expect(drain(&machine) == ["ended closed"])
  }

  @Test(arguments: 0..<20) func `whatever comes in whatever order, connections are those of the topology in the end`(seed: Int) throws {
    var random = RandomSource(seed: UInt64(seed))
    var machine = Machine()
    machine.enter(try Self.greeting("mesh", "a", "node"), now: Self.at(0))
    var (open, hasServer, generation): (Set<String>, Bool, Int64) = ([], false, 0)
    func follow() {
      while let output = machine.pollOutput() {
        switch output {
        case .open(let id, _): #expect(open.insert(id).inserted)
        case .close(let id): #expect(open.remove(id) != nil)
        case .openServer: (hasServer, _) = (true, #expect(!hasServer))
        case .closeServer: (hasServer, _) = (false, #expect(hasServer))
        default: break
        }
      }
    }
    let names = ["a", "b", "c", "node"]
    for step in 1...300 {
      let (now, id) = (Self.at(step * 50), names.randomElement(using: &random) ?? "a")
      switch Int.random(in: 0..<8, using: &random) {
      case 0: machine.receive(.joined(RoomMember(id: id)), now: now)
      case 1: machine.receive(.left(id, reason: "left"), now: now)
      case 2:
        generation += 1
        machine.receive(topology(["mesh", "sfu", "supernode"].randomElement(using: &random) ?? "", generation, supernode: "node"), now: now)
      case 3: machine.link(id, became: Bool.random(using: &random) ? .connected : .lost, now: now)
      case 4: machine.server(became: .connected)
      case 5: machine.hear(["handover": .int(generation)], from: id, now: now)
      case 6: machine.link(id, carries: [id: [.camera: step]].merging(["a": [.screen: -step]]) { own, _ in own })
      default: machine.receive(.signal(.offer(""), from: id), now: now)
      }
      machine.timeout(now: now)
      follow()
    }
    generation += 1
    machine.receive(topology("mesh", generation), now: Self.at(20_000))
    for id in machine.order { machine.link(id, became: .connected, now: Self.at(20_000)) }
    machine.timeout(now: Self.at(40_000))
    follow()
    #expect(open == Set(machine.order) && !hasServer)
  }
}

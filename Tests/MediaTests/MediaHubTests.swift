import MartletCodecs
import MartletIO
import MartletPrimitives
import Synchronization
import Testing

@testable import MartletMedia

@Suite(.timeLimit(.minutes(5))) struct MediaHubTests {
  private static func configuration(_ change: (inout StreamConfiguration) -> Void = { _ in }) -> StreamConfiguration {
    var configuration = StreamConfiguration()
    configuration.grace = .milliseconds(300)
    change(&configuration)
    return configuration
  }
  private let both = [TrackFormat.testVideo(), .testAudio]

  @Test(arguments: [(0, 0), (0, 1), (1, 0)]) func `a viewer on any worker sees the stream from its key frame`(_ places: (Int, Int))
    async throws
  {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("cam", on: places.0, both)
    try await workers.send("cam", on: places.0, [.test("k0", at: 0, key: true), .test("a1", track: 1, at: 5), .test("p2", at: 40)])
    try await workers.watch("ann", on: places.1)
    try await workers.expect("ann", on: places.1, sees: "<[v1a]k0 a1 p2 ")
    try await workers.send("cam", on: places.0, [.test("p3", at: 80)])
    try await workers.expect("ann", on: places.1, sees: "<[v1a]k0 a1 p2 p3 ")
  }

  @Test(arguments: [0, 1]) func `a viewer may come before its publisher`(_ place: Int) async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.watch("ann", on: place)
    try await workers.publish("cam", on: 0, both)
    try await workers.send("cam", [.test("k0", at: 0, key: true)])
    try await workers.expect("ann", on: place, sees: "<[v1a]k0 ")
  }

  @Test func `the second publisher is refused, from any worker, and reserved names are`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("cam", both)
    for place in 0..<2 {
      await #expect(throws: PublishError.taken(.test())) { try await workers.publish("other", on: place, both) }
    }
    for name in ["api/x", "live/cam/whip"] {
      await #expect(throws: PublishError.self) { try await workers.publish("x", both, path: .test(name)) }
    }
    #expect(workers.directory.count == 1)
  }

  @Test(arguments: [(0, 1), (1, 0), (0, 0), (1, 1)])
  func `a takeover revokes the first publisher, and viewers go on without a new configuration`(_ places: (Int, Int)) async throws {
    let workers = TestWorkers(2, Self.configuration { $0.takeover = .replace })
    defer { workers.stop() }
    try await workers.publish("one", on: places.0, both)
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.send("one", on: places.0, [.test("k0", at: 1000, key: true), .test("p1", at: 1040)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 p1 ") }
    try await workers.publish("two", on: places.1, both)
    try await workers.until { try await workers.run(on: places.0) { _, box in box.publishers["one"]?.revocations == 1 } }
    // What the first one still sends is nobody's.
    try await workers.send("one", on: places.0, [.test("stale", at: 1080)])
    try await workers.send("two", on: places.1, [.test("k2", at: 50, key: true), .test("p3", at: 90)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 p1 k2 p3 ") }
    let (publisher, publishes) = try await workers.run(on: places.0) { context, _ in
      let stream = context.service(MediaHub.self).localStream(.test())
      return (stream?.publisher?.id, stream?.statistics.publishes)
    }
    #expect(publisher == "two" && publishes == 2)
  }

  @Test func `within the grace period viewers stay and hear nothing`() async throws {
    let workers = TestWorkers(2, Self.configuration { $0.grace = .seconds(3600) })
    defer { workers.stop() }
    try await workers.publish("one", both)
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.send("one", [.test("k0", at: 0, key: true)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 ") }
    try await workers.run { _, box in box.publishers["one"]?.publication?.finish() }
    try await workers.publish("two", on: 1, both)
    try await workers.send("two", on: 1, [.test("k1", at: 0, key: true)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 k1 ") }
    for place in 0..<2 {
      #expect(try await workers.run(on: place) { _, box in box.viewers["viewer"]?.heard ?? [] } == ["begin"])
    }
  }

  @Test func `after the grace period viewers are told, unless somebody publishes again`() async throws {
    let workers = TestWorkers(2, Self.configuration { $0.grace = .milliseconds(5) })
    defer { workers.stop() }
    try await workers.publish("one", both)
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.send("one", [.test("k0", at: 0, key: true)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 ") }
    let both = both
    // In one turn of the loop, in which no timer runs.
    try await workers.run { context, box in
      box.publishers["one"]?.publication?.finish()
      try TestWorkers.publish("two", both, in: context, box)
    }
    // The grace of the first one ends, and concerns nobody: a timer that is due later has run.
    await withCheckedContinuation { continuation in
      workers.workers[0].loop.post { $0.schedule(after: .milliseconds(6)) { continuation.resume() } }
    }
    for place in 0..<2 {
      #expect(try await workers.run(on: place) { _, box in box.viewers["viewer"]?.heard ?? [] } == ["begin"])
    }
    try await workers.run { _, box in box.publishers["two"]?.publication?.finish() }
    for place in 0..<2 {
      try await workers.until { try await workers.run(on: place) { _, box in box.viewers["viewer"]?.heard == ["begin", "end"] } }
    }
    #expect(workers.directory.count == 0)
    #expect(try await workers.run { context, _ in context.service(MediaHub.self).localStreams.isEmpty })
  }

  @Test func `a publisher that comes back with other tracks makes a new configuration, also with fewer`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("one", both)
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.send("one", [.test("k0", at: 0, key: true), .test("a1", track: 1, at: 10)])
    var text = "<[v1a]k0 a1 "
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: text) }
    let changes: [(String, [TrackFormat], String)] = [
      ("two", [.testVideo(7), .testAudio], "[v7a]"), ("three", [.testVideo(7)], "[v7]"), ("four", [.testAudio], "[a]"),
    ]
    var last = "one"
    for (name, formats, expected) in changes {
      try await workers.run { [last] _, box in box.publishers[last]?.publication?.finish() }
      try await workers.publish(name, formats)
      try await workers.send(name, [.test("k-\(name)", at: 0, key: true)])
      text += "\(expected)k-\(name) "
      for place in 0..<2 { try await workers.expect("viewer", on: place, sees: text) }
      last = name
    }
  }

  @Test func `a format that changes in the middle of a publication is announced behind what came before`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("cam", both)
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.send("cam", [.test("k0", at: 0, key: true)])
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 ") }
    try await workers.run { _, box in
      box.publishers["cam"]?.publication?.setFormat(.testVideo(1), track: 0)
      box.publishers["cam"]?.publication?.setFormat(.testVideo(2), track: 0)
      box.publishers["cam"]?.publication?.send(.test("k1", at: 40, key: true))
    }
    for place in 0..<2 { try await workers.expect("viewer", on: place, sees: "<[v1a]k0 [v2a]k1 ") }
  }

  @Test func `viewers of a format that cannot carry the tracks hear why`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    for place in 0..<2 { try await workers.watch("viewer", on: place) }
    try await workers.publish("cam", [TrackFormat(codec: .av1, timescale: 1000), .testAudio])
    for place in 0..<2 {
      try await workers.until {
        try await workers.run(on: place) { _, box in box.viewers["viewer"]?.heard == ["unsupported: no words for AV1"] }
      }
    }
  }

  @Test func `a stream of one announced track needs no second, an unannounced one waits half a second`() async throws {
    let workers = TestWorkers(1, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("said", [.testVideo()], path: .test("live/said"))
    try await workers.watch("said", path: .test("live/said"))
    try await workers.send("said", [.test("k0", at: 0, key: true)])
    #expect(try await workers.text("said") == "<[v1]k0 ")

    try await workers.publish("mute", [], path: .test("live/mute"))
    try await workers.watch("mute", path: .test("live/mute"))
    try await workers.run { _, box in box.publishers["mute"]?.publication?.setFormat(.testVideo(), track: 0) }
    try await workers.send("mute", [.test("k0", at: 0, key: true), .test("p1", at: 40)])
    #expect(try await workers.text("mute") == "", "sound may follow")
    try await Task.sleep(nanoseconds: 520_000_000)
    try await workers.send("mute", [.test("p2", at: 560)])
    #expect(try await workers.text("mute") == "<[v1]k0 p1 p2 ", "nothing of the wait is lost")
  }

  @Test func `a worker that cannot keep up gets the next key frame instead of a hole`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("cam", [.testVideo()])
    try await workers.watch("viewer", on: 1)
    try await workers.send("cam", [.test("k", at: 0, key: true)])
    try await workers.expect("viewer", on: 1, sees: "<[v1]k ")
    let isHeld = Held()
    workers.workers[1].loop.post { _ in while isHeld.value.load(ordering: .acquiring) {} }
    // More than the ring between two workers has slots.
    try await workers.run { _, box in
      for index in 1..<9000 {
        box.publishers["cam"]?.publication?.send(.test("\(index % 50 == 0 ? "k" : "p")\(index)", at: Int64(index), key: index % 50 == 0))
      }
    }
    isHeld.value.store(false, ordering: .releasing)
    try await workers.until { try await workers.text("viewer", on: 1).contains("k4000 ") }
    try await workers.send("cam", [.test("p9000", at: 9000), .test("k9001", at: 9001, key: true), .test("p9002", at: 9002)])
    try await workers.until { try await workers.text("viewer", on: 1).hasSuffix("p9002 ") }
    let words = try await workers.text("viewer", on: 1).split(separator: " ").dropFirst().map(String.init)
    var expected = 1
    var gaps = 0
    for word in words {
      guard let number = Int(word.dropFirst()) else { continue }
      if number != expected {
        #expect(word.hasPrefix("k") && number > expected)
        gaps += 1
      }
      expected = number + 1
    }
    let dropped = try await workers.run { context, _ in context.service(MediaHub.self).dropped }
    #expect(gaps == 1 && dropped > 0)
  }

  private final class Held: Sendable { let value = Atomic(true) }

  // The claim decides, not whose message comes first: the later publisher's `begin` may overtake the earlier one's.
  @Test func `a publication that was replaced before it began does not take the stream back`() async throws {
    let workers = TestWorkers(1)
    defer { workers.stop() }
    let result = try await workers.run { context, _ in
      let stream = Stream(path: .test(), configuration: .init(), in: context)
      stream.begin(.test("later", .test(), .publisher), publication: 8)
      stream.begin(.test("earlier", .test(), .publisher), publication: 7)
      let publisher = stream.publisher?.id
      let pausedByEarlier = stream.pause(7)
      return (publisher, pausedByEarlier, stream.pause(8))
    }
    #expect(result.0 == "later" && !result.1 && result.2)
  }

  @Test func `a home that is asked twice by one worker feeds it once`() async throws {
    let workers = TestWorkers(2, Self.configuration())
    defer { workers.stop() }
    try await workers.publish("cam", [.testVideo()])
    try await workers.send("cam", [.test("k0", at: 0, key: true)])
    try await workers.watch("viewer", on: 1)
    try await workers.expect("viewer", on: 1, sees: "<[v1]k0 ")
    // What the home tells of a new stream may cross with the question of a worker that found it in the directory.
    try await workers.run { context, _ in
      let mesh = context.service(MediaHub.self).mesh
      _ = mesh.ring(from: 0, to: 1).push(.available(.test()), size: 0)
    }
    try await workers.run(on: 1) { context, _ in context.service(MediaHub.self).drain(from: 0) }
    try await workers.send("cam", [.test("p1", at: 40)])
    try await workers.expect("viewer", on: 1, sees: "<[v1]k0 p1 ")
  }

  @Test func `nothing is left of streams that ended`() async throws {
    let workers = TestWorkers(2, Self.configuration { $0.grace = .milliseconds(20) })
    defer { workers.stop() }
    for index in 0..<5 {
      let path = StreamPath.test("live/\(index)")
      try await workers.publish("cam", [.testVideo()], path: path)
      try await workers.watch("viewer", on: 1, path: path)
      try await workers.send("cam", [.test("k0", at: 0, key: true)])
      try await workers.expect("viewer", on: 1, sees: "<[v1]k0 ")
      try await workers.run(on: 1) { _, box in box.viewers["viewer"]?.reader.stop() }
      try await workers.run { _, box in box.publishers["cam"]?.publication?.finish() }
    }
    try await workers.until { workers.directory.count == 0 }
    #expect(try await workers.run { context, _ in context.service(MediaHub.self).remoteTargetCount } == 0)
  }
}

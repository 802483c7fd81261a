import MartletCodecs
import MartletIO
@testable import MartletMedia
import MartletPrimitives
import Testing

@Suite(.timeLimit(.minutes(5))) struct UnreadFrameTests {
  /// Where the publisher is and where its viewer.
  @Test(arguments: [(0, 0), (0, 1), (1, 0)])
  func `a publisher of packets makes frames while somebody reads them, beginning with a key frame`(_ places: (Int, Int)) async throws {
    let workers = TestWorkers(2)
    defer { workers.stop() }
    let (publisher, viewer) = places
    try await workers.run(on: publisher) { context, box in
      let owner = TestPublisher()
      let publication = try context.service(MediaHub.self).publish(.test("p", .test(), .publisher), owner: owner)
      (owner.publication, box.publishers["p"]) = (publication, owner)
      publication.expect([.video])
      publication.setPacketTracks([PacketTrack(codec: .h264, clockRate: 90_000, answersRequests: true)])
      publication.setFormat(.testVideo(), track: 0)
    }
    let asked = { try await workers.run(on: publisher) { _, box in box.publishers["p"]?.asked ?? [] } }
    try await workers.until { try await asked() == ["rest"] }
    try await workers.send("p", on: publisher, [.test("old", at: 0, key: true)])
    try await workers.watch("v", on: viewer)
    try await workers.until { try await asked() == ["rest", "frames", "key frame"] }
    // What the old key frame was followed by nobody has.
    try await workers.send("p", on: publisher, [.test("lost", at: 40_000), .test("K", at: 40_040, key: true), .test("d", at: 40_080)])
    try await workers.expect("v", on: viewer, sees: "<[v1]K d ")
  }

  private final class Reader: FrameConsumer {
    func streamDidConfigure(_ stream: Stream, _ content: StreamContent) {}
    func stream(_ stream: Stream, didReceive frame: Frame) {}
    func streamDidPause(_ stream: Stream) {}
    func streamDidEnd(_ stream: Stream) {}
  }

  @Test func `a publisher is told when the first reader comes and when the last has left, and the next one not at all`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    let heard = try await workers.run { context, _ in
      [true, false].map { hasPackets in
        let stream = Stream(path: .test(), configuration: .init(), in: context)
        var heard: [Bool] = []
        stream.readingChanged = { heard.append($1) }
        stream.begin(.test("p", .test(), .publisher), publication: 1)
        stream.expect([.video], from: 1)
        if hasPackets { stream.setPacketTracks([PacketTrack(codec: .h264, clockRate: 90_000)], from: 1) }
        stream.setFormat(.testVideo(), track: 0, from: 1)
        let readers = [Reader(), Reader()]
        for reader in readers { stream.add(reader) }
        for reader in readers { stream.remove(reader) }
        // Another publisher makes frames until it is told otherwise.
        stream.begin(.test("q", .test(), .publisher), publication: 2)
        stream.add(readers[0])
        return heard
      }
    }
    #expect(heard == [[false, true, false], []])
  }

  @Test func `frames that were not made count, and leave their time`() async throws {
    let workers = TestWorkers()
    defer { workers.stop() }
    let (statistics, times) = try await workers.run { context, _ in
      let stream = Stream(path: .test(), configuration: .init(), in: context)
      stream.begin(.test("p", .test(), .publisher), publication: 1)
      stream.expect([.video], from: 1)
      stream.setPacketTracks([PacketTrack(codec: .h264, clockRate: 90_000)], from: 1)
      stream.setFormat(.testVideo(), track: 0, from: 1)
      stream.receive(.test("a", at: 0, key: true), from: 1)
      var unread = UnreadFrames()
      (unread.pictures, unread.sounds, unread.bytes) = (30, 50, 9000)
      stream.receive(unread, from: 1)
      stream.receive(unread, from: 2)
      let first = stream.cachedFrames.map(\.dts)
      // A minute of the publisher's clock, and hardly any time.
      stream.receive(.test("b", at: 60_000, key: true), from: 1)
      return (stream.statistics, first + stream.cachedFrames.map(\.dts))
    }
    #expect(statistics.frames == 82 && statistics.keyFrames == 2 && statistics.bytes == 9002)
    #expect(times.count == 2 && times[0] == 0 && (1..<5000).contains(times[1]), "\(times)")
  }
}

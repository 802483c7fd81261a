import MartletCodecs
import MartletIO
import MartletMedia
import MartletPrimitives
import Testing

/// Takes bytes from a reader as slowly as the test likes.
final class MemorySink: OutputSink {
  var source: (any OutputSource)? { didSet { if source != nil { setNeedsFlush() } } }
  /// Never too slow by the clock: a hub's sweep in the middle of a test would end its viewer.
  var lastWrite = Instant.distantFuture
  private(set) var flushes = 0
  private(set) var text = ""

  func setNeedsFlush() { flushes += 1 }
  func boundKernelOutput() {}

  /// At most `limit` bytes, as a socket with so much room would; all by default. Answers what came.
  @discardableResult func take(_ limit: Int = .max) -> String {
    var taken = ""
    while taken.utf8.count < limit {
      let vector = IOVector()
      source?.gather(into: vector, .all)
      let bytes = vector.copy(atMost: limit - taken.utf8.count)
      if bytes.isEmpty { break }
      source?.advance(by: bytes.count)
      taken += String(decoding: bytes, as: UTF8.self)
    }
    text += taken
    return taken
  }
}

/// A viewer that starts when the stream begins and notes what it hears.
final class TestViewer: RingReaderOwner {
  let sink = MemorySink()
  let reader: RingReader
  private(set) var heard: [String] = []

  init(_ ring: WireRing, id: String = "viewer") {
    reader = RingReader(ring: ring, client: .test(id, ring.path, .viewer), sink: sink)
    reader.owner = self
    reader.wait()
  }

  func readerDidBegin(_ reader: RingReader) {
    heard.append("begin")
    reader.start()
  }
  func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {
    if case .unsupported(let error) = reason { heard.append("unsupported: \(error)") } else { heard.append("end") }
  }
  func readerWasKicked(_ reader: RingReader, _ reason: KickReason) { heard.append("kicked: \(reason)") }
}

/// A publisher that notes that it was revoked, and what it is asked for.
final class TestPublisher: PublicationOwner {
  var publication: Publication?
  private(set) var revocations = 0
  private(set) var asked: [String] = []
  func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) { revocations += 1 }
  func publication(_ publication: Publication, needsKeyFrameOf track: UInt8, layer: UInt8) { asked.append("key frame") }
  func publication(_ publication: Publication, framesAreRead areRead: Bool) { asked.append(areRead ? "frames" : "rest") }
}

extension ClientInfo {
  static func test(_ id: String, _ path: StreamPath, _ role: Role) -> ClientInfo {
    ClientInfo(
      id: id, role: role, transport: "test", path: path, remote: SocketAddress(ip: .anyV4, port: 1), since: WallTime(milliseconds: 0))
  }
}

extension StreamPath {
  static func test(_ text: String = "live/cam") -> StreamPath {
    guard let path = try? StreamPath(text) else { preconditionFailure("a path of the test") }
    return path
  }
}

extension TrackFormat {
  static func testVideo(_ configuration: UInt8 = 1) -> TrackFormat {
    TrackFormat(codec: .h264, timescale: 1000, configuration: [configuration], codecString: "v")
  }
  static let testAudio = TrackFormat(codec: .aac, timescale: 1000, configuration: [2], codecString: "a")
}

/// Frames as words: the payload and a space. The opening is `<`, the configuration names the tracks: `[v1a]`.
struct WordMuxer: WireMuxer {
  static let format = WireFormat(name: "words") { formats throws(WireFormatError) in
    if formats.contains(where: { $0.codec == .av1 }) { throw WireFormatError("no words for AV1") }
    return WordMuxer(formats: formats)
  }

  let formats: [TrackFormat]
  var opening: Slice { Slice(Array("<".utf8)) }
  var configuration: Slice {
    let names = formats.map { format in
      format.kind == .video ? "v\(format.configuration.bytes.byte(at: 0) ?? 0)" : format.kind == .audio ? "a" : "d"
    }
    return Slice(Array("[\(names.joined())]".utf8))
  }
  mutating func mux(_ frame: Frame) -> Slice { Slice(frame.payload.array + [0x20]) }
}

extension Frame {
  static func test(_ word: String, track: UInt8 = 0, at time: Int64, key: Bool = false) -> Frame {
    Frame(track: track, dts: time, pts: time, isKey: key, payload: Slice(Array(word.utf8)))
  }
}

extension WireUnit {
  static func test(_ word: String, _ kind: MediaKind = .video, join: Bool = false, at time: Int64 = 0) -> WireUnit {
    WireUnit(bytes: Slice(Array("\(word) ".utf8)), kind: kind, isJoinPoint: join, time: time)
  }
}

/// Workers whose loops the tests' hubs live on.
struct TestWorkers: Sendable {
  let workers: [Worker]
  let directory = StreamDirectory()

  /// Objects of the test that live on a loop.
  final class Box {
    var viewers: [String: TestViewer] = [:]
    var publishers: [String: TestPublisher] = [:]
    var rings: [WireRing] = []
    var flushes = 0
  }

  init(_ count: Int = 1, _ configuration: StreamConfiguration = .init()) {
    let loops = (0..<count).map { EventLoop(index: $0) }
    let mesh = MediaMesh(loops: loops)
    let directory = directory
    workers = loops.map { loop in
      Worker(loop, log: .silent) { context in
        context.register(Box())
        context.register(MediaHub(configuration, directory: directory, mesh: mesh, in: context))
      }
    }
  }

  func run<R: Sendable>(on worker: Int = 0, _ body: @escaping @Sendable (LoopContext, Box) throws -> R) async throws -> R {
    try await workers[worker].run { context in Result { try body(context, context.service(Box.self)) } }.get()
  }

  /// Begins to publish as `name` and announces the tracks.
  func publish(_ name: String, on worker: Int = 0, _ formats: [TrackFormat], path: StreamPath = .test()) async throws {
    try await run(on: worker) { context, box in try Self.publish(name, formats, path: path, in: context, box) }
  }

  static func publish(
    _ name: String, _ formats: [TrackFormat], path: StreamPath = .test(), in context: LoopContext, _ box: Box
  ) throws {
    let publisher = TestPublisher()
    let publication = try context.service(MediaHub.self).publish(.test(name, path, .publisher), owner: publisher)
    publisher.publication = publication
    box.publishers[name] = publisher
    publication.expect(Set(formats.map(\.kind)))
    for (index, format) in formats.enumerated() { publication.setFormat(format, track: UInt8(index)) }
  }

  func send(_ name: String, on worker: Int = 0, _ frames: [Frame]) async throws {
    try await run(on: worker) { _, box in for frame in frames { box.publishers[name]?.publication?.send(frame) } }
  }

  func watch(_ name: String, on worker: Int = 0, path: StreamPath = .test()) async throws {
    try await run(on: worker) { context, box in
      box.viewers[name] = TestViewer(context.service(MediaHub.self).ring(path, WordMuxer.format), id: name)
    }
  }

  /// What a viewer has been sent in all.
  func text(_ name: String, on worker: Int = 0) async throws -> String {
    try await run(on: worker) { _, box in
      box.viewers[name]?.sink.take()
      return box.viewers[name]?.sink.text ?? ""
    }
  }

  /// Waits for what crosses workers or for a timer.
  func until(_ condition: () async throws -> Bool, _ comment: Comment = "it never happened") async throws {
    for _ in 0..<1500 {
      if try await condition() { return }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    Issue.record(comment)
  }

  func expect(_ name: String, on worker: Int = 0, sees text: String, _ location: SourceLocation = #_sourceLocation) async throws {
    for _ in 0..<1500 {
      if try await self.text(name, on: worker) == text { return }
      try await Task.sleep(nanoseconds: 2_000_000)
    }
    let seen = try await self.text(name, on: worker)
    #expect(seen == text, sourceLocation: location)
  }

  func stop() {
    for worker in workers {
      worker.loop.post { $0.stop() }
      worker.join()
    }
  }
}

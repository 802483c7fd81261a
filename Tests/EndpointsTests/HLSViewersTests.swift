import MartletCodecs
import MartletHLS
import MartletIO
import MartletMedia
import MartletPrimitives
import Testing

@testable import MartletEndpoints

private final class EverythingAllowed: AccessControl {
  func decide(_ request: AccessRequest, then: @escaping (AccessDecision) -> Void) { then(.allowed()) }
  func sessionDidBegin(_ client: ClientInfo) {}
  func sessionDidEnd(_ client: ClientInfo) {}
}

/// One worker with a hub, its HLS outputs and a publisher of sound.
private final class Station: PublicationOwner {
  let hub: MediaHub
  let outputs: HLSOutputs
  let catalog: HLSCatalog
  let path: StreamPath
  private let remote = SocketAddress(ip: .anyV6, port: 7)
  private var publication: Publication?
  private var time: Int64 = 0

  init(_ context: LoopContext, _ path: StreamPath, _ configuration: HLSConfiguration) {
    self.path = path
    var streams = StreamConfiguration()
    streams.grace = .milliseconds(10)
    hub = MediaHub(streams, directory: StreamDirectory(), mesh: MediaMesh(loops: [context.loop]), in: context)
    context.register(hub)
    catalog = HLSCatalog(loops: [], start: WallTime(milliseconds: 0), random: 1)
    outputs = HLSOutputs(configuration, Admission(hub: hub, access: EverythingAllowed(), context: context), catalog, nil)
    hub.streamDidStart = { [unowned self] stream in self.outputs.streamDidStart(stream) }
  }

  func publish() throws {
    let client = ClientInfo(
      id: "p", role: .publisher, transport: "test", path: path, remote: remote, since: WallTime(milliseconds: 0))
    publication = try hub.publish(client, owner: self)
    var format = TrackFormat(codec: .aac, timescale: 1000, configuration: [0x11, 0x90], codecString: "mp4a.40.2")
    (format.sampleRate, format.channels) = (48000, 2)
    publication?.expect([.audio])
    publication?.setFormat(format, track: 0)
  }

  func play(_ seconds: Int) {
    for _ in 0..<seconds * 50 {
      publication?.send(Frame(track: 0, dts: time, pts: time, isKey: true, payload: [7]))
      time += 20
    }
  }

  func leave() { publication?.finish() }

  func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {}

  var key: HLSViewerKey { HLSViewerKey(AccessRequest(.play, on: path.text, transport: "hls", remote: remote), path: path) }

  func visit(bytes: Int) { outputs.receive(HLSVisit(key: key, remote: remote, user: "ann", tokenID: nil, userAgent: nil, bytes: bytes)) }
}

@Suite struct HLSViewersTests {
  /// Runs `body` on a loop of its own, and `later` some time after, by the loop's clock: the tasks of a busy test run may wait long.
  private func onLoop(
    _ change: @Sendable (inout HLSConfiguration) -> Void = { _ in }, _ body: @escaping @Sendable (Station, LoopContext) throws -> Void,
    after wait: TimeSpan = .zero, _ later: @escaping @Sendable (Station, LoopContext) throws -> Void = { _, _ in }
  ) async throws {
    var configuration = HLSConfiguration()
    change(&configuration)
    let (path, final) = (try StreamPath("live/cam"), configuration)
    let worker = Worker(EventLoop(index: 0), log: .silent) { context in context.register(Station(context, path, final)) }
    defer {
      worker.loop.post { $0.stop() }
      worker.join()
    }
    let outcome: Result<Void, any Error> = await withCheckedContinuation { continuation in
      worker.loop.post { context in
        let first = Result { try body(context.service(Station.self), context) }
        context.schedule(after: wait) {
          continuation.resume(returning: first.flatMap { Result { try later(context.service(Station.self), context) } })
        }
      }
    }
    try outcome.get()
  }

  @Test func `a stream is cut only once somebody waits for it`() async throws {
    try await onLoop { station, _ in
      try station.publish()
      station.play(5)
      #expect(station.catalog.presentation(station.path) == nil)
      station.hub.withStream(station.path) { stream, context in
        if let stream { context.service(Station.self).outputs.start(stream) }
      }
      station.play(2)
      #expect(station.catalog.presentation(station.path)?.isReady == true)
    }
  }

  @Test func `a request that came before its publisher starts the output with the stream`() async throws {
    try await onLoop { station, _ in
      station.catalog.await(station.path, worker: 0)
      try station.publish()
      station.play(3)
      #expect(station.catalog.presentation(station.path)?.isReady == true)
      #expect(!station.catalog.isAwaited(station.path))
    }
  }

  @Test func `a viewer is listed, counted, and closed by its id`() async throws {
    try await onLoop(
      { $0.always = true },
      { station, context in
        try station.publish()
        station.play(3)
        station.visit(bytes: 5)
        station.visit(bytes: 6)
        let viewers = station.hub.localDetachedViewers
        #expect(viewers.count == 1 && viewers.first?.bytesSent == 11)
        let client = try #require(viewers.first?.client)
        #expect(client.transport == "hls" && client.user == "ann" && client.role == .viewer)
        #expect(!station.catalog.isBlocked(station.key, now: context.now))
        #expect(station.hub.kick(clientID: client.id, .administrator))
        #expect(station.hub.localDetachedViewers.isEmpty)
        #expect(station.catalog.isBlocked(station.key, now: context.now))
      })
  }

  @Test func `without requests the segments are freed, and with the stream's end the sessions`() async throws {
    try await onLoop(
      { $0.idle = .milliseconds(1) },
      { station, _ in
        station.catalog.await(station.path, worker: 0)
        try station.publish()
        station.play(3)
        station.visit(bytes: 1)
      }, after: .milliseconds(1500),
      { station, _ in
        #expect(station.catalog.presentation(station.path)?.isReady == false)
        #expect(station.catalog.presentation(station.path)?.window.isEmpty == true)
      })
  }

  @Test func `after the grace period the playlist ends and nobody is listed`() async throws {
    try await onLoop(
      { $0.always = true },
      { station, _ in
        try station.publish()
        station.play(3)
        station.visit(bytes: 1)
        station.leave()
        #expect(station.catalog.presentation(station.path)?.window.isEnded == false)
      }, after: .milliseconds(200),
      { station, _ in
        #expect(station.catalog.presentation(station.path)?.window.isEnded == true)
        #expect(station.catalog.presentation(station.path)?.isReady == true)
        #expect(station.hub.localDetachedViewers.isEmpty)
      })
  }
}

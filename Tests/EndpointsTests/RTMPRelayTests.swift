import MartletClient
import MartletCodecs
import MartletEndpoints
import MartletIO
import MartletMedia
import MartletPrimitives
import Synchronization
import Testing

/// A whole small server on one worker.
private struct Island {
  final class Parts {
    let hub: MediaHub
    let listener: RTMPListener
    let relay: RTMPRelay
    var kept: [AnyObject] = []
    init(_ hub: MediaHub, _ listener: RTMPListener, _ relay: RTMPRelay) {
      self.hub = hub
      self.listener = listener
      self.relay = relay
    }
  }

  /// Payloads of every frame that a stream of this island received, and how often streams began.
  final class Seen: Sendable {
    let payloads = Mutex<[String: Set<[UInt8]>]>([:])
    let begun = Atomic<Int>(0)
    func count(_ path: String) -> Int { payloads.withLock { $0[path]?.count ?? 0 } }
  }

  let worker: Worker
  let seen = Seen()

  init(_ configuration: RTMPRelayConfiguration = .init(), streams: StreamConfiguration = .init()) {
    let loop = EventLoop(index: 0)
    let seen = seen
    worker = Worker(loop, log: .silent) { context in
      let hub = MediaHub(streams, directory: StreamDirectory(), mesh: MediaMesh(loops: [loop]), in: context)
      let admission = Admission(hub: hub, access: Everybody(), context: context)
      let parts = Parts(hub, RTMPListener(.init(), admission), RTMPRelay(configuration, admission))
      hub.streamDidStart = { [unowned parts] stream in
        seen.begun.add(1, ordering: .relaxed)
        stream.add(Watcher(seen))
        parts.relay.streamDidStart(stream)
      }
      hub.streamIsMissing = { [unowned parts] in parts.relay.streamIsMissing($0) }
      context.register(hub)
      context.register(parts)
    }
  }

  private final class Watcher: FrameConsumer {
    let seen: Seen
    init(_ seen: Seen) { self.seen = seen }
    func streamDidConfigure(_ stream: MartletMedia.Stream, _ content: StreamContent) {}
    func stream(_ stream: MartletMedia.Stream, didReceive frame: Frame) {
      seen.payloads.withLock { _ = $0[stream.path.text, default: []].insert(frame.payload.array) }
    }
    func streamDidPause(_ stream: MartletMedia.Stream) {}
    func streamDidEnd(_ stream: MartletMedia.Stream) {}
  }

  func listen(port: UInt16 = 0) async -> UInt16 {
    await worker.run { context in
      let address = SocketAddress(ip: .v4(0x7F00_0001), port: port)
      return (try? context.service(Parts.self).listener.listen(on: address, census: ConnectionCensus(), in: context))?.port ?? 0
    }
  }

  /// Publishes numbered AAC frames, fifty a second, until the worker stops.
  func publish(_ path: String) async {
    await worker.run { context in
      let parts = context.service(Parts.self)
      if let publisher = Publisher(path, parts.hub, context) { parts.kept.append(publisher) }
    }
  }

  func endPublishing() async {
    await worker.run { context in
      let parts = context.service(Parts.self)
      for case let publisher as Publisher in parts.kept { publisher.stop() }
    }
  }

  /// Begins to watch; the viewer stays until `stopWatching`.
  func watch(_ path: String) async {
    await worker.run { context in
      let parts = context.service(Parts.self)
      if let viewer = Viewer(path, parts.hub, context) { parts.kept.append(viewer) }
    }
  }

  func stopWatching() async {
    await worker.run { context in
      for case let viewer as Viewer in context.service(Parts.self).kept { viewer.reader?.stop() }
    }
  }

  func hasStream(_ path: String) async -> Bool {
    await worker.run { context in
      guard let path = try? StreamPath(path) else { return false }
      return context.service(MediaHub.self).localStream(path)?.isLive == true
    }
  }

  func stop() {
    worker.loop.post { context in
      context.service(Parts.self).relay.stop()
      context.stop()
    }
    worker.join()
  }
}

private final class Everybody: AccessControl {
  func decide(_ request: AccessRequest, then: @escaping (AccessDecision) -> Void) { then(.allowed()) }
  func sessionDidBegin(_ client: ClientInfo) {}
  func sessionDidEnd(_ client: ClientInfo) {}
}

private func client(_ role: ClientInfo.Role, _ path: StreamPath, _ hub: MediaHub) -> ClientInfo {
  ClientInfo(
    id: hub.nextClientID(), role: role, transport: "test", path: path, remote: SocketAddress(ip: .anyV4, port: 0),
    since: WallTime(milliseconds: 0))
}

private final class Publisher: PublicationOwner {
  private var publication: Publication?
  private let context: LoopContext
  private var count = 0

  init?(_ path: String, _ hub: MediaHub, _ context: LoopContext) {
    self.context = context
    guard let path = try? StreamPath(path) else { return nil }
    publication = try? hub.publish(client(.publisher, path, hub), owner: self)
    var format = TrackFormat(codec: .aac, timescale: 48_000, configuration: [0x11, 0x90], codecString: "mp4a.40.2")
    (format.sampleRate, format.channels) = (48_000, 2)
    publication?.expect([.audio])
    publication?.setFormat(format, track: 0)
    tick()
  }

  private func tick() {
    guard let publication, !publication.isFinished else { return }
    let payload: [UInt8] = [0x21, UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count), 4]
    publication.send(Frame(track: 0, dts: Int64(count * 960), pts: Int64(count * 960), isKey: true, payload: Slice(payload)))
    count += 1
    context.schedule(after: .milliseconds(20)) { [weak self] in self?.tick() }
  }

  func stop() { publication?.finish() }
  func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {}
}

private final class Viewer: OutputSink, RingReaderOwner {
  var source: (any OutputSource)?
  var lastWrite: Instant
  var reader: RingReader?

  init?(_ path: String, _ hub: MediaHub, _ context: LoopContext) {
    lastWrite = context.now
    guard let path = try? StreamPath(path) else { return nil }
    let reader = RingReader(ring: hub.ring(path, FLVFormat.http), client: client(.viewer, path, hub), sink: self)
    reader.owner = self
    self.reader = reader
    reader.wait()
  }

  func setNeedsFlush() {}
  func boundKernelOutput() {}
  func readerDidBegin(_ reader: RingReader) {}
  func readerDidEnd(_ reader: RingReader, _ reason: EndReason) {}
  func readerWasKicked(_ reader: RingReader, _ reason: KickReason) {}
}

@Suite(.serialized, .timeLimit(.minutes(5))) struct RTMPRelayTests {
  /// Looks every 20 ms, for at most `seconds`.
  private func eventually(_ seconds: Int = 10, _ condition: () async -> Bool) async -> Bool {
    for _ in 0..<seconds * 50 {
      if await condition() { return true }
      try? await Task.sleep(nanoseconds: 20_000_000)
    }
    return false
  }

  private func configuration(_ change: (inout RTMPRelayConfiguration) throws -> Void) throws -> RTMPRelayConfiguration {
    var configuration = RTMPRelayConfiguration()
    configuration.backoff = Backoff(initial: .milliseconds(20), maximum: .milliseconds(100))
    configuration.idle = .milliseconds(500)
    try change(&configuration)
    return configuration
  }

  private func target(_ text: String) throws -> RTMPTarget { try #require(RTMPTarget(text)) }
  private func pattern(_ text: String) throws -> PathPattern { try #require(PathPattern(text)) }

  @Test func `streams that match are forwarded frame by frame, and end with their publisher`() async throws {
    var quick = StreamConfiguration()
    quick.grace = .milliseconds(200)
    let there = Island(streams: quick)
    let port = await there.listen()
    let rule = try RTMPRelayConfiguration.Forward(from: pattern("live/*"), to: target("rtmp://127.0.0.1:\(port)/copy/of-{name}?app={app}"))
    let here = Island(try configuration { $0.forward = [rule] }, streams: quick)
    await here.publish("live/cam")
    await here.publish("other/cam")
    #expect(await eventually { there.seen.count("copy/of-cam") > 20 })
    #expect(there.seen.payloads.withLock { Set($0.keys) } == ["copy/of-cam"])
    #expect(there.seen.payloads.withLock { $0["copy/of-cam"] ?? [] }.isSubset(of: here.seen.payloads.withLock { $0["live/cam"] ?? [] }))
    await here.endPublishing()
    #expect(await eventually { await !there.hasStream("copy/of-cam") })
    here.stop()
    there.stop()
  }

  @Test func `a forward comes back when its target does`() async throws {
    let first = Island()
    let port = await first.listen()
    let rule = try RTMPRelayConfiguration.Forward(from: pattern("**"), to: target("rtmp://127.0.0.1:\(port)/{app}/{name}"))
    let here = Island(try configuration { $0.forward = [rule] })
    await here.publish("live/cam")
    #expect(await eventually { first.seen.count("live/cam") > 5 })
    first.stop()
    let second = Island()
    #expect(await second.listen(port: port) == port)
    #expect(await eventually { second.seen.count("live/cam") > 5 })
    here.stop()
    second.stop()
  }

  @Test func `a stream is pulled when somebody asks for it and given up when nobody watches`() async throws {
    let origin = Island()
    let port = await origin.listen()
    await origin.publish("live/cam")
    let rule = try RTMPRelayConfiguration.Pull(path: pattern("live/*"), from: target("rtmp://127.0.0.1:\(port)/{app}/{name}"))
    let edge = Island(try configuration { $0.pull = [rule] })
    #expect(await !edge.hasStream("live/cam"))
    await edge.watch("live/cam")
    await edge.watch("live/cam")
    #expect(await eventually { edge.seen.count("live/cam") > 20 })
    #expect(edge.seen.begun.load(ordering: .relaxed) == 1)
    await edge.stopWatching()
    // The ring of the last viewer is kept for five seconds.
    #expect(await eventually(15) { await !edge.hasStream("live/cam") })
    edge.stop()
    origin.stop()
  }

  @Test func `a pull outlives its origin's restart, and viewers keep the stream`() async throws {
    let first = Island()
    let port = await first.listen()
    await first.publish("live/cam")
    let rule = try RTMPRelayConfiguration.Pull(path: pattern("**"), from: target("rtmp://127.0.0.1:\(port)/{app}/{name}"))
    let edge = Island(try configuration { $0.pull = [rule] })
    await edge.watch("live/cam")
    #expect(await eventually { edge.seen.count("live/cam") > 5 })
    first.stop()
    #expect(await eventually { await !edge.hasStream("live/cam") })
    let second = Island()
    #expect(await second.listen(port: port) == port)
    await second.publish("live/cam")
    #expect(await eventually { await edge.hasStream("live/cam") })
    #expect(edge.seen.begun.load(ordering: .relaxed) == 1)
    edge.stop()
    second.stop()
  }

  @Test func `a pull whose origin has no such stream claims no name, and ends with the patience of viewers`() async throws {
    let origin = Island()
    let port = await origin.listen()
    let rule = try RTMPRelayConfiguration.Pull(path: pattern("**"), from: target("rtmp://127.0.0.1:\(port)/{app}/{name}"))
    let edge = Island(try configuration { $0.pull = [rule] })
    await edge.watch("live/cam")
    try await Task.sleep(nanoseconds: 300_000_000)
    // Somebody may still publish it here.
    await edge.publish("live/cam")
    #expect(await eventually { edge.seen.count("live/cam") > 5 })
    edge.stop()
    origin.stop()
  }

  @Test(arguments: ["http://host/app/name", "rtmp://host/app", "rtmp:///app/name", "host/app/name"])
  func `a target is an RTMP URL with an application and a name`(text: String) { #expect(RTMPTarget(text) == nil) }

  @Test func `a target's description holds no stream key`() throws {
    #expect(try target("rtmps://a.example/live2/secret?key=secret").description == "rtmps://a.example:443")
  }
}

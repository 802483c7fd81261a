#if Transcoding
  internal import Glibc
  internal import MartletCodecs
  internal import MartletIO
  internal import MartletMedia
  internal import MartletPrimitives
  internal import MartletTranscode
  internal import Synchronization

  /// The demo's publisher: pictures and sound are made on a thread of its own and handed to worker 0, which publishes them.
  internal final class DemoPublisher: Sendable {
    private let isStopping: StopFlag
    private let thread: WorkerThread

    /// - Parameter loop: the worker that publishes; its hub must be registered.
    internal init(path: StreamPath, on loop: EventLoop, log: Log) {
      let flag = StopFlag()
      isStopping = flag
      thread = WorkerThread(name: "martlet-demo") {
        do {
          let source = try DemoSource()
          let formats = source.formats
          loop.post { context in context.register(DemoStation(path: path, formats: formats, in: context)) }
          try Self.run(source, on: loop, until: flag)
        } catch {
          log(.error, "demo", "the demo source stopped: \(error)")
        }
      }
    }

    private final class StopFlag: Sendable {
      let isSet = Atomic<Bool>(false)
    }

    private static func run(_ source: DemoSource, on loop: EventLoop, until flag: StopFlag) throws {
      let start = now(CLOCK_MONOTONIC)
      while !flag.isSet.load(ordering: .relaxed) {
        let frames = try source.next(wallTime: WallTime(milliseconds: now(CLOCK_REALTIME) / 1_000_000))
        loop.post { context in context.service(DemoStation.self).receive(frames) }
        let wait = source.nextFrame.nanoseconds - (now(CLOCK_MONOTONIC) - start)
        if wait > 0 { usleep(UInt32(clamping: wait / 1000)) }
      }
    }

    private static func now(_ clock: Int32) -> Int64 {
      var time = timespec()
      clock_gettime(clock, &time)
      return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    internal func stop() {
      isStopping.isSet.store(true, ordering: .relaxed)
      thread.join()
    }
  }

  /// The demo's publication on its worker. Somebody else may publish under the name; the demo comes back when it is free.
  private final class DemoStation: PublicationOwner {
    private let path: StreamPath
    private let formats: [TrackFormat]
    private let context: LoopContext
    private var publication: Publication?
    private var nextAttempt = Instant.zero

    init(path: StreamPath, formats: [TrackFormat], in context: LoopContext) {
      self.path = path
      self.formats = formats
      self.context = context
    }

    func receive(_ frames: [Frame]) {
      if publication == nil { begin(with: frames) }
      for frame in frames { publication?.send(frame) }
    }

    private func begin(with frames: [Frame]) {
      guard context.now >= nextAttempt, frames.contains(where: { $0.track == 0 && $0.isKey }) else { return }
      let hub = context.service(MediaHub.self)
      let client = ClientInfo(
        id: hub.nextClientID(), role: .publisher, transport: "demo", path: path,
        remote: SocketAddress(ip: .v4(127 << 24 | 1), port: 0), since: context.wallTime)
      do throws(PublishError) {
        let publication = try hub.publish(client, owner: self)
        for (index, format) in formats.enumerated() { publication.setFormat(format, track: UInt8(index)) }
        self.publication = publication
        context.log(.info, "demo", "\(path) is published")
      } catch {
        nextAttempt = context.now + .seconds(5)
      }
    }

    func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) {
      self.publication = nil
      nextAttempt = context.now + .seconds(5)
      context.log(.info, "demo", "\(path) was taken from the demo: \(reason)")
    }
  }
#endif

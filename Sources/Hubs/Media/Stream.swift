package import MartletCodecs
package import MartletIO
internal import MartletPrimitives

/// Whatever takes a stream's frames on its home worker besides the wire formats: HLS, a recording, a transcoder.
package protocol FrameConsumer: AnyObject {
  /// The tracks are known, or changed. Frames that follow belong to them, those of the cache first.
  func streamDidConfigure(_ stream: Stream, _ content: StreamContent)
  func stream(_ stream: Stream, didReceive frame: Frame)
  /// The publisher left (and may come back within the grace period).
  func streamDidPause(_ stream: Stream)
  /// The stream is gone.
  func streamDidEnd(_ stream: Stream)
  /// Somebody watches through it now: a pulled stream is kept for that. A recording nobody looks at is no viewer.
  var isWatched: Bool { get }
  /// In which codecs it wants the stream.
  var rendition: Rendition { get }
}

extension FrameConsumer {
  package var isWatched: Bool { false }
  package var rendition: Rendition { .original }
}

/// A stream as its consumer gets it.
package struct StreamContent {
  package let formats: [TrackFormat]
  /// The frames since the last key frame.
  package let cachedFrames: [Frame]
}

/// A stream on its home worker: one publisher, its tracks, and everything that is made of them.
///
///     idle ──publish──▶ live ──publisher leaves──▶ idle (viewers kept) ──grace passes──▶ gone
///                        └─────takeover: the next publisher continues the time line────┘
package final class Stream {
  package let path: StreamPath
  package private(set) var formats: [TrackFormat] = []
  package private(set) var publisher: ClientInfo?
  package private(set) var statistics = StreamStatistics()
  /// The tracks are complete: muxers may be made.
  package private(set) var isSettled = false
  /// Frames of an earlier publication, still on their way when another took over, are not this stream's any more.
  private var publication: UInt64?
  /// The latest publication that began. Ids grow with the claims, but `begin` comes from several workers in any order.
  private var latestPublication: UInt64 = 0
  /// The tracks that the outputs are configured for.
  private var configuredFormats: [TrackFormat] = []

  private let context: LoopContext
  private let configuration: StreamConfiguration
  private var timeline = Timeline()
  private var cache: FrameCache
  private var lanes: [Rendition: RenditionLane] = [:]
  internal var makeTranscoder: ((TranscodeRequest, @escaping @Sendable (TrackTranscoderOutput) -> Void) -> (any TrackTranscoder)?)?
  private var expected: Set<MediaKind> = []
  private var firstFrame: Instant?
  private var lastFrame: Instant?
  /// The planes beside frames, each in being while somebody watches it; `realtime` also while the publisher has packets.
  private var planes: [Rendition: PacketPlane] = [:]
  private var publishesPackets = false
  /// The publisher makes all frames. One that has packets need not while nobody reads frames; they begin again with a key frame.
  private var isRead = true
  /// Before the next frame some were not made.
  private var isResuming = false
  /// What the outputs were configured for.
  private var wasRealtime = false
  private var lastKeyFrame: Instant?
  /// Called when packets are wanted of a stream that has only frames.
  internal var makePacketizer: ((Stream, StreamPackets) -> (any FrameConsumer)?)?
  /// Asks the publisher, wherever it is.
  internal var keyFrameWanted: ((_ publication: UInt64, _ track: UInt8, _ layer: UInt8) -> Void)?
  /// Which layers are watched, by worker.
  private var demands: [Int: LayerDemand] = [:]
  internal var demandChanged: ((_ publication: UInt64, _ demand: LayerDemand) -> Void)?
  internal var readingChanged: ((_ publication: UInt64, _ isRead: Bool) -> Void)?

  package init(path: StreamPath, configuration: StreamConfiguration, in context: LoopContext) {
    self.path = path
    self.configuration = configuration
    self.context = context
    cache = FrameCache(byteLimit: configuration.ring.bytes, frameLimit: configuration.ring.units)
  }

  package var isLive: Bool { publisher != nil }
  /// Somebody watches, on whatever worker, or did some seconds ago.
  package var isWatched: Bool { planes.values.contains { $0.packets.isWatched } || lanes.values.contains { $0.isWatched } }
  package var hasVideo: Bool { formats.contains { $0.kind == .video } }
  /// The frames since the last key frame.
  package var cachedFrames: [Frame] { cache.frames }

  // MARK: Publishing

  internal func begin(_ client: ClientInfo, publication: UInt64) {
    guard publication > latestPublication else { return }
    latestPublication = publication
    if let lastFrame { timeline.republish(after: context.now - lastFrame) }
    publisher = client
    self.publication = publication
    statistics.publishes += 1
    expected = []
    formats = []
    isSettled = false
    firstFrame = nil
    cache.removeAll()
    publishesPackets = false
    (isRead, isResuming) = (true, false)
    updatePacketizer(.realtime)
  }

  /// The publisher said which kinds of tracks will come, so that a stream without sound need not wait for it.
  internal func expect(_ kinds: Set<MediaKind>, from publication: UInt64) {
    guard publication == self.publication else { return }
    expected = kinds
    settleIfComplete()
  }

  /// Adds a track, or replaces its format. Track numbers are dense and small.
  internal func setFormat(_ format: TrackFormat, track: UInt8, from publication: UInt64) {
    guard publication == self.publication, Int(track) <= formats.count, track < 16 else { return }
    if Int(track) == formats.count {
      formats.append(format)
    } else {
      guard formats[Int(track)] != format else { return }
      if formats[Int(track)].timescale != format.timescale { timeline.resetTicks(of: track) }
      formats[Int(track)] = format
    }
    cache.removeAll()
    if isSettled { reconfigure() } else { settleIfComplete() }
  }

  internal func receive(_ frame: Frame, from publication: UInt64) {
    guard publication == self.publication, Int(frame.track) < formats.count else { return }
    let format = formats[Int(frame.track)]
    let now = context.now
    // What nobody read is as long as it took.
    if isResuming, let lastFrame { timeline.republish(after: now - lastFrame) }
    isResuming = !isRead
    let placed = timeline.place(frame, timescale: format.timescale)
    lastFrame = now
    if firstFrame == nil { firstFrame = now }
    statistics.count(placed, format, now: now)
    cache.append(placed, restarts: frame.isJoinPoint(format, hasVideo: hasVideo))
    if !isSettled {
      settleIfComplete()
      // The frame is in the cache, from which settling fed the outputs.
      return
    }
    forward(placed)
  }

  internal func receive(_ unread: UnreadFrames, from publication: UInt64) {
    guard publication == self.publication else { return }
    statistics.count(unread, now: context.now)
  }

  private func forward(_ frame: Frame) {
    for lane in lanes.values { lane.send(frame) }
    if publishesPackets { keepKeyFramesComing(frame) }
  }

  /// A publisher by WebRTC sends key frames when it is asked; whoever joins, rewinds or cuts segments needs them now and then.
  private func keepKeyFramesComing(_ frame: Frame) {
    guard formats[Int(frame.track)].kind == .video else { return }
    let now = context.now
    if frame.isKey || lastKeyFrame == nil { lastKeyFrame = now }
    guard let lastKeyFrame, now - lastKeyFrame >= Self.keyFrameInterval, lanes.values.contains(where: \.isUsed) else { return }
    self.lastKeyFrame = now
    requestKeyFrame()
  }

  private static let keyFrameInterval = TimeSpan.seconds(2)

  /// False when another publication has taken over.
  internal func pause(_ publication: UInt64) -> Bool {
    guard publication == self.publication else { return false }
    self.publication = nil
    publisher = nil
    for lane in lanes.values { lane.pause() }
    for plane in planes.values { plane.packets.pause() }
    return true
  }

  internal func end() {
    publisher = nil
    for lane in exchange(&lanes, with: [:]).values { lane.end() }
    for plane in exchange(&planes, with: [:]).values { plane.packets.end(.unpublished) }
  }

  // MARK: Packets

  internal func packets(_ rendition: Rendition) -> StreamPackets? { planes[rendition]?.packets }

  /// Makes sure that there are packets, in `ring` on this worker and for others; where they come from is the publisher's affair.
  internal func openPackets(_ ring: PacketRing) -> StreamPackets {
    let rendition = ring.key.rendition
    if let known = packets(rendition) { return known }
    let made = StreamPackets(home: ring)
    planes[rendition] = PacketPlane(packets: made)
    updatePacketizer(rendition)
    return made
  }

  /// Nobody watches these packets any more; false while the publisher goes on sending them.
  internal func closePackets(_ rendition: Rendition) -> Bool {
    guard rendition != .realtime || !publishesPackets else { return false }
    if let packetizer = planes.removeValue(forKey: rendition)?.packetizer { discard(packetizer) }
    return true
  }

  private func updatePacketizer(_ rendition: Rendition) {
    guard let plane = planes[rendition] else { return }
    let isNeeded = rendition != .realtime || !publishesPackets
    if let packetizer = plane.packetizer, !isNeeded {
      planes[rendition]?.packetizer = nil
      discard(packetizer)
    } else if isNeeded, plane.packetizer == nil, let made = makePacketizer?(self, plane.packets) {
      planes[rendition]?.packetizer = made
      add(made)
    }
  }

  private func discard(_ packetizer: any FrameConsumer) {
    remove(packetizer)
    packetizer.streamDidEnd(self)
  }

  internal func setPacketTracks(_ tracks: [PacketTrack], from publication: UInt64) {
    guard publication == self.publication, tracks.count <= 16 else { return }
    publishesPackets = true
    updatePacketizer(.realtime)
    packets(.realtime)?.configure(tracks)
    // Another publisher of the path has not heard.
    tellDemand()
  }

  internal func setDemand(_ demand: LayerDemand, of worker: Int) {
    demands[worker] = demand
    tellDemand()
  }

  private func tellDemand() {
    guard let publication else { return }
    var sum = LayerDemand()
    for demand in demands.values { sum.formUnion(demand) }
    demandChanged?(publication, sum)
  }

  internal func setPacketClock(_ clock: PacketClock, from publication: UInt64) {
    if publication == self.publication { self.packets(.realtime)?.setClock(clock) }
  }

  internal func receive(_ packets: [StreamPacket], from publication: UInt64) {
    if publication == self.publication { self.packets(.realtime)?.send(packets) }
  }

  internal func requestKeyFrame(track: UInt8, layer: UInt8) {
    if let publication { keyFrameWanted?(publication, track, layer) }
  }

  /// Of what frames are made of.
  private func requestKeyFrame() {
    for (index, track) in (packets(.realtime)?.tracks ?? []).enumerated() where track.kind == .video {
      requestKeyFrame(track: UInt8(truncatingIfNeeded: index), layer: StreamPacket.framedLayer)
    }
  }

  // MARK: Tracks

  private func settleIfComplete() {
    guard !isSettled, !formats.isEmpty else { return }
    let kinds = Set(formats.map(\.kind))
    let isComplete = kinds.isSuperset(of: expected.isEmpty ? [.video, .audio] : expected)
    // A publisher that announced nothing gets half a second to show its second track.
    let waited = firstFrame.map { context.now - $0 > .milliseconds(500) } ?? false
    guard isComplete || waited else { return }
    isSettled = true
    // The next publisher of the same tracks continues what viewers decode already.
    if formats == configuredFormats, publishesPackets == wasRealtime {
      for lane in lanes.values { lane.resume(cache.frames) }
    } else {
      reconfigure()
    }
    restIfUnread()
  }

  private func reconfigure() {
    configuredFormats = formats
    wasRealtime = publishesPackets
    for lane in lanes.values { lane.configure(formats, isRealtime: publishesPackets, cached: cache.frames) }
  }

  // MARK: Outputs

  private func lane(_ rendition: Rendition) -> RenditionLane {
    if let lane = lanes[rendition] { return lane }
    let lane = RenditionLane(rendition, of: self, limits: configuration.ring, in: context)
    lane.makeTranscoder = { [weak self] in self?.makeTranscoder?($0, $1) }
    lane.keyFrameNeeded = { [weak self] in self?.requestKeyFrame() }
    lanes[rendition] = lane
    if isSettled { lane.configure(formats, isRealtime: publishesPackets, cached: cache.frames) }
    return lane
  }

  /// Feeds `target` with the stream in `format` from now on, beginning with what the GOP cache holds.
  internal func attach(_ target: any WireTarget, _ format: WireFormat) {
    startReading()
    lane(format.rendition).attach(target, format)
  }

  internal func detach(_ target: any WireTarget, _ formatName: String) {
    for lane in lanes.values { lane.detach(target, formatName) }
    restIfUnread()
  }

  package func add(_ consumer: any FrameConsumer) {
    startReading()
    lane(consumer.rendition).add(consumer)
  }

  package func remove(_ consumer: any FrameConsumer) {
    lanes[consumer.rendition]?.remove(consumer)
    restIfUnread()
  }

  private func startReading() {
    guard !isRead, let publication else { return }
    isRead = true
    // Its key frame is not followed by what followed it.
    cache.removeAll()
    readingChanged?(publication, true)
    requestKeyFrame()
  }

  /// Not before the tracks are known, since frames tell of what format they are.
  private func restIfUnread() {
    guard publishesPackets, isSettled, isRead, let publication, !lanes.values.contains(where: \.isUsed) else { return }
    (isRead, isResuming) = (false, true)
    readingChanged?(publication, false)
  }

  /// From a transcoder's thread, by way of this loop.
  internal func receive(_ output: TrackTranscoderOutput, track: Int, of rendition: Rendition, _ generation: Int) {
    lanes[rendition]?.receive(output, track: track, generation)
  }
}

private struct PacketPlane {
  let packets: StreamPackets
  /// Makes them of frames, where the publisher does not.
  var packetizer: (any FrameConsumer)?
}

internal import MartletCodecs
internal import MartletIO
internal import MartletPrimitives

/// A stream in one rendition: the outputs and consumers that want it so, and the transcoders that make it.
///
///     idle ──first output──▶ passing, if no track needs a transcoder
///                       └──▶ preparing ──all formats are known──▶ running
///     any ──last output left──▶ idle
internal final class RenditionLane {
  private struct Work {
    let transcoder: any TrackTranscoder
    var format: TrackFormat?
  }

  internal let rendition: Rendition
  /// As outputs see them; empty until they are all known.
  private(set) var formats: [TrackFormat] = []
  /// Asked once for each track that cannot pass; `nil` answers leave it as it is.
  internal var makeTranscoder: ((TranscodeRequest, @escaping @Sendable (TrackTranscoderOutput) -> Void) -> (any TrackTranscoder)?)?
  internal var keyFrameNeeded: (() -> Void)?

  private unowned let stream: Stream
  private let context: LoopContext
  private let limits: WireRing.Limits
  private var source: [TrackFormat] = []
  private var isRealtime = false
  private var reordered: Set<Int> = []
  /// Tracks that are left out, since they could not be shown.
  private var dropped: Set<Int> = []
  private var outputs: [String: StreamOutput] = [:]
  private var consumers: [any FrameConsumer] = []
  private var work: [Int: Work] = [:]
  /// Of this lane's frames, while there are transcoders; otherwise the stream's own serves.
  private var cache: FrameCache
  /// Output of transcoders of an earlier configuration is nobody's any more.
  private var generation = 0

  internal init(_ rendition: Rendition, of stream: Stream, limits: WireRing.Limits, in context: LoopContext) {
    self.rendition = rendition
    self.stream = stream
    self.limits = limits
    self.context = context
    cache = FrameCache(byteLimit: limits.bytes, frameLimit: limits.units)
  }

  internal var isUsed: Bool { !outputs.isEmpty || !consumers.isEmpty }
  internal var isWatched: Bool { !outputs.isEmpty || consumers.contains { $0.isWatched } }
  private var hasVideo: Bool { formats.contains { $0.kind == .video } }
  private var cachedFrames: [Frame] { work.isEmpty ? stream.cachedFrames : cache.frames }

  // MARK: The source

  /// The stream's tracks are known, or others than before; `cached` are its frames since the last key frame.
  internal func configure(_ formats: [TrackFormat], isRealtime: Bool, cached: [Frame]) {
    source = formats
    self.isRealtime = isRealtime
    reordered = []
    if isUsed { begin(cached) }
  }

  /// Goes on where an earlier publisher of the same tracks stopped.
  internal func resume(_ cached: [Frame]) { for frame in cached { send(frame) } }

  internal func send(_ frame: Frame) {
    guard isUsed else { return }
    if frame.pts > frame.dts, !reordered.contains(Int(frame.track)) { noteReordering(frame) }
    if let work = work[Int(frame.track)] { return work.transcoder.send(frame) }
    deliver(frame)
  }

  /// B-frames show themselves.
  private func noteReordering(_ frame: Frame) {
    let index = Int(frame.track)
    guard index < source.count, source[index].kind == .video else { return }
    reordered.insert(index)
    if rendition.target(of: source[index], isRealtime: isRealtime, isReordered: true) != nil { begin(stream.cachedFrames) }
  }

  internal func pause() { for consumer in consumers { consumer.streamDidPause(stream) } }

  internal func end() {
    stopWork()
    for output in outputs.values { output.end(.unpublished) }
    outputs.removeAll()
    for consumer in exchange(&consumers, with: []) { consumer.streamDidEnd(stream) }
  }

  // MARK: Transcoding

  private func begin(_ cached: [Frame]) {
    stopWork()
    dropped = []
    generation += 1
    for (index, format) in source.enumerated() {
      guard let target = rendition.target(of: format, isRealtime: isRealtime, isReordered: reordered.contains(index)) else { continue }
      let request = TranscodeRequest(path: stream.path, format: format, target: target)
      let (loop, path, rendition, generation) = (context.loop, stream.path, rendition, generation)
      let made = makeTranscoder?(request) { output in
        loop.post { context in
          context.service(MediaHub.self).localStream(path)?.receive(output, track: index, of: rendition, generation)
        }
      }
      if let made {
        work[index] = Work(transcoder: made)
      } else {
        refuse(index, target)
      }
    }
    guard work.isEmpty else {
      formats = []
      for frame in cached { send(frame) }
      return
    }
    formats = visibleSource
    reconfigure(priming: cached)
  }

  /// No transcoder is to be had. Broadcast outputs say themselves what they cannot carry; pictures out of order would be garbage.
  private func refuse(_ index: Int, _ target: Codec) {
    context.log(
      .warning, "transcode",
      "\(stream.path): its \(source[index].codec) cannot be made into \(target): as many streams are being transcoded as may be "
        + "(transcode.max_streams), or none may (transcode.video)")
    if rendition != .broadcast { dropped.insert(index) }
  }

  private func stopWork() {
    for entry in work.values { entry.transcoder.stop() }
    work = [:]
    cache.removeAll()
  }

  internal func receive(_ output: TrackTranscoderOutput, track: Int, _ generation: Int) {
    guard generation == self.generation, work[track] != nil else { return }
    switch output {
    case .format(let format):
      guard work[track]?.format != format else { return }
      work[track]?.format = format
      settle()
    case .frames(let frames):
      for var frame in frames {
        frame.track = UInt8(truncatingIfNeeded: track)
        deliver(frame)
      }
    case .keyFrameNeeded: keyFrameNeeded?()
    case .failed(let reason): context.log(.warning, "transcode", "\(stream.path): \(source[track].codec): \(reason)")
    }
  }

  /// What is left out keeps its place, as data that nobody shows.
  private var visibleSource: [TrackFormat] { source.enumerated().map { dropped.contains($0) ? .data : $1 } }

  /// All formats are known.
  private func settle() {
    var known: [TrackFormat] = []
    for (index, format) in visibleSource.enumerated() {
      guard let entry = work[index] else {
        known.append(format)
        continue
      }
      guard let made = entry.format else { return }
      known.append(made)
    }
    formats = known
    reconfigure(priming: cache.frames)
  }

  // MARK: Outputs

  private func deliver(_ frame: Frame) {
    if !work.isEmpty {
      // Before all formats are known, those of the source tell what a frame is.
      let format = formats.isEmpty ? source[Int(frame.track)] : formats[Int(frame.track)]
      cache.append(frame, restarts: frame.isJoinPoint(format, hasVideo: source.contains { $0.kind == .video }))
    }
    guard Int(frame.track) < formats.count, !dropped.contains(Int(frame.track)) else { return }
    let format = formats[Int(frame.track)]
    for output in outputs.values { output.send(frame, format) }
    for consumer in consumers { consumer.stream(stream, didReceive: frame) }
  }

  private func reconfigure(priming frames: [Frame]) {
    for output in outputs.values { output.configure(formats, hasVideo: hasVideo, priming: frames) }
    for consumer in consumers { prime(consumer, frames) }
  }

  /// Tells a consumer the tracks and what the cache holds of them.
  private func prime(_ consumer: any FrameConsumer, _ frames: [Frame]) {
    consumer.streamDidConfigure(stream, StreamContent(formats: formats, cachedFrames: frames))
    for frame in frames { consumer.stream(stream, didReceive: frame) }
  }

  private func wake(_ wasUsed: Bool) -> Bool {
    guard !wasUsed, !source.isEmpty else { return false }
    begin(stream.cachedFrames)
    return true
  }

  internal func attach(_ target: any WireTarget, _ format: WireFormat) {
    let wasUsed = isUsed
    if let output = outputs[format.name] { return output.add(target) }
    let output = StreamOutput(format: format, limits: limits)
    outputs[format.name] = output
    output.add(target)
    if !wake(wasUsed), !formats.isEmpty { output.configure(formats, hasVideo: hasVideo, priming: cachedFrames) }
  }

  internal func detach(_ target: any WireTarget, _ formatName: String) {
    guard let output = outputs[formatName] else { return }
    output.remove(target)
    if output.isUnused { outputs[formatName] = nil }
    restIfUnused()
  }

  internal func add(_ consumer: any FrameConsumer) {
    let wasUsed = isUsed
    consumers.append(consumer)
    if !wake(wasUsed), !formats.isEmpty { prime(consumer, cachedFrames) }
  }

  internal func remove(_ consumer: any FrameConsumer) {
    consumers.removeAll { $0 === consumer }
    restIfUnused()
  }

  private func restIfUnused() {
    guard !isUsed else { return }
    stopWork()
    formats = []
  }
}

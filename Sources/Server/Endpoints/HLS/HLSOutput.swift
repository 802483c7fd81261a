internal import MartletCodecs
internal import MartletContainers
internal import MartletHLS
internal import MartletMedia
internal import MartletPrimitives

/// One stream cut into segments, on its home worker.
///
///     stopped ──first request──▶ running ──no request for a while──▶ stopped (segments freed, numbers go on)
///                                   └──the stream ends──▶ ended (the playlist says so and stays for one window)
internal final class HLSOutput: FrameConsumer {
  internal let path: StreamPath
  internal private(set) var isRunning = false
  /// The catalog's entry as this output last wrote it.
  internal private(set) var version = 0
  internal private(set) var targetDuration: TimeSpan
  /// Hears when the stream is gone.
  internal var onEnd: ((HLSOutput) -> Void)?

  private let configuration: HLSConfiguration
  private let catalog: HLSCatalog
  private let disk: HLSDisk?
  private let wallTime: () -> WallTime
  private var window: Window
  private var segmenter: Segmenter
  private var formats: [TrackFormat] = []
  private var refusal: String?
  private var awaitsSegment = true
  /// The publisher left: what follows begins anew, also when its tracks are the same.
  private var mustStart = true
  /// Of the newest frame in the cache that this output was begun with, in milliseconds of the stream.
  private var cacheEnd: Int64?

  /// Goes on where an earlier output of the same path ended, if its segments are still there.
  internal init(
    _ path: StreamPath, _ configuration: HLSConfiguration, catalog: HLSCatalog, disk: HLSDisk?, wallTime: @escaping () -> WallTime
  ) {
    self.path = path
    self.configuration = configuration
    self.catalog = catalog
    self.disk = disk
    self.wallTime = wallTime
    var limits = Window.Limits()
    limits.duration = configuration.window
    window =
      catalog.presentation(path)?.window ?? Window(epoch: catalog.nextEpoch(), target: configuration.fragment, limits: limits)
    targetDuration = .seconds(Int(window.targetDuration))
    var cutting = Segmenter.Configuration()
    cutting.targetDuration = configuration.fragment
    cutting.maximumDuration = max(cutting.maximumDuration, configuration.fragment * 3)
    cutting.alignsToGrid = configuration.isRendition(path)
    segmenter = Segmenter(cutting)
  }

  /// Frames will come.
  internal func start() {
    guard !isRunning else { return }
    isRunning = true
    awaitsSegment = true
    mustStart = true
    refusal = nil
    publish()
  }

  /// Nobody watches any more: the segments are freed.
  internal func stop() {
    guard isRunning else { return }
    isRunning = false
    _ = segmenter.finish()
    let freed = window.clear()
    publish()
    disk?.remove(path, window.epoch, freed)
    disk?.removePlaylist(path)
  }

  // MARK: The stream

  internal func configure(_ formats: [TrackFormat]) {
    self.formats = formats
    mustStart = false
    do throws(TSError) {
      refusal = nil
      if let segment = try segmenter.start(formats) { append(segment) }
    } catch {
      if let segment = segmenter.finish() { append(segment) }
      refusal = TSFormat.sentence(for: error)
      publish()
    }
  }

  internal func receive(_ frame: Frame) {
    guard Int(frame.track) < formats.count else { return }
    if mustStart { configure(formats) }
    if let segment = segmenter.receive(frame, date: arrival(frame)) { append(segment) }
  }

  /// What the cache held came earlier, by as much as its times tell.
  private func arrival(_ frame: Frame) -> WallTime {
    let now = wallTime()
    guard let end = cacheEnd else { return now }
    let age = end - MediaTime.rescale(frame.dts, from: formats[Int(frame.track)].timescale, to: 1000)
    if age <= 0 { cacheEnd = nil }
    return 0...60_000 ~= age ? WallTime(milliseconds: now.milliseconds - age) : now
  }

  internal func pause() {
    if let segment = segmenter.finish() { append(segment) }
    mustStart = true
  }

  internal func end() {
    isRunning = false
    if let segment = segmenter.finish() { append(segment) }
    window.end()
    awaitsSegment = false
    publish()
    onEnd?(self)
  }

  private func append(_ segment: Segment) {
    let freed = window.append(segment)
    awaitsSegment = false
    targetDuration = .seconds(Int(window.targetDuration))
    if let disk, let last = window.listed.last {
      disk.write(segment.bytes, path, window.epoch, last.sequence)
      disk.remove(path, window.epoch, freed)
    }
    publish()
  }

  private func publish() {
    var presentation = HLSPresentation(window: window, formats: formats, refusal: refusal, awaitsSegment: awaitsSegment)
    presentation.render(path, baseURL: configuration.segmentBaseURL)
    version = catalog.publish(presentation, of: path)
    if !window.isEmpty { disk?.write(presentation.mediaPlaylist(path, baseURL: configuration.segmentBaseURL), path) }
  }

  /// Segments of a stream that ended stay for one window; then its files go too.
  internal func forget() {
    guard !isRunning, catalog.remove(path, version: version) else { return }
    let freed = window.clear()
    disk?.remove(path, window.epoch, freed)
    disk?.removePlaylist(path)
  }

  // MARK: FrameConsumer

  internal var rendition: Rendition { .broadcast }

  internal func streamDidConfigure(_ stream: Stream, _ content: StreamContent) {
    cacheEnd = content.cachedFrames.last.map { MediaTime.rescale($0.dts, from: content.formats[Int($0.track)].timescale, to: 1000) }
    configure(content.formats)
  }
  internal func stream(_ stream: Stream, didReceive frame: Frame) { receive(frame) }
  internal func streamDidPause(_ stream: Stream) { pause() }
  internal func streamDidEnd(_ stream: Stream) { end() }
}

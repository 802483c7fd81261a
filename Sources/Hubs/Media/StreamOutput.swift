internal import MartletCodecs
internal import MartletPrimitives

/// Where a format's units go: the ring of this worker, or the link to another worker's ring.
internal protocol WireTarget: AnyObject {
  func configure(opening: Slice, configuration: Slice, hasVideo: Bool)
  func append(_ unit: WireUnit)
  func end(_ reason: EndReason)
}

extension WireRing: WireTarget {}

/// One wire format of a stream in use: muxed once on the home worker, handed to each worker that has viewers.
internal final class StreamOutput {
  private let format: WireFormat
  private var muxer: (any WireMuxer)?
  private var targets: [any WireTarget] = []
  private var hasVideo = false
  /// The units since the last join point, for a worker that joins.
  private var recent: [WireUnit] = []
  private var recentBytes = 0
  private var failure: WireFormatError?

  private let limits: WireRing.Limits

  internal init(format: WireFormat, limits: WireRing.Limits) {
    self.format = format
    self.limits = limits
  }

  internal var isUnused: Bool { targets.isEmpty }

  internal func add(_ target: any WireTarget) {
    targets.append(target)
    if let failure { return target.end(.unsupported(failure)) }
    guard let muxer else { return }
    target.configure(opening: muxer.opening, configuration: muxer.configuration, hasVideo: hasVideo)
    for unit in recent { target.append(unit) }
  }

  internal func remove(_ target: any WireTarget) { targets.removeAll { $0 === target } }

  /// Begins anew with these tracks; `priming` are the frames of the GOP cache.
  internal func configure(_ formats: [TrackFormat], hasVideo: Bool, priming: [Frame]) {
    self.hasVideo = hasVideo
    forget()
    do throws(WireFormatError) {
      let muxer = try format.makeMuxer(formats)
      self.muxer = muxer
      failure = nil
      for target in targets { target.configure(opening: muxer.opening, configuration: muxer.configuration, hasVideo: hasVideo) }
    } catch {
      muxer = nil
      failure = error
      return end(.unsupported(error))
    }
    for frame in priming { send(frame, formats[Int(frame.track)]) }
  }

  internal func send(_ frame: Frame, _ format: TrackFormat) {
    guard var muxer else { return }
    self.muxer = nil
    let bytes = muxer.mux(frame)
    self.muxer = muxer
    guard !bytes.isEmpty else { return }
    let isJoinPoint = frame.isJoinPoint(format, hasVideo: hasVideo)
    let unit = WireUnit(
      bytes: bytes, kind: format.kind, isJoinPoint: isJoinPoint, time: MediaTime.rescale(frame.dts, from: format.timescale, to: 1000))
    remember(unit)
    for target in targets { target.append(unit) }
  }

  private func remember(_ unit: WireUnit) {
    if unit.isJoinPoint { forget() } else if recent.isEmpty { return }
    recent.append(unit)
    recentBytes += unit.bytes.count
    if recent.count > limits.units || recentBytes > limits.bytes { forget() }
  }

  private func forget() {
    recent.removeAll(keepingCapacity: true)
    recentBytes = 0
  }

  internal func end(_ reason: EndReason) { for target in targets { target.end(reason) } }
}

package import MartletCodecs
package import MartletContainers
package import MartletPrimitives

/// Frames → segments: decides where to cut.
///
/// The lead track is video, or the first audio where there is none. A cut comes at its first key frame once the target
/// duration has passed; without key frames at the maximum duration or size, and then the segment is not independent. A jump
/// in the lead's time (back, or ahead by more than ten seconds) ends a segment, and the next one, which waits for a key
/// frame, is a discontinuity. Tracks that are more than ten seconds away from the lead are left out until they return.
package struct Segmenter: Sendable {
  package struct Configuration: Sendable {
    package var targetDuration = TimeSpan.seconds(2)
    /// The longest a segment grows while no key frame comes.
    package var maximumDuration = TimeSpan.seconds(10)
    /// The largest a segment grows, in bytes, but for its last frame.
    package var maximumBytes = 32 << 20
    /// Cut where the time passes a multiple of the target, so that renditions with common key frames cut alike however
    /// they were started; else the target counts from the last cut.
    package var alignsToGrid = false
    package init() {}
  }

  private struct Open {
    var bytes: [UInt8] = []
    var start: Int64
    var date: WallTime
    var isDiscontinuity: Bool
    var isIndependent: Bool
  }

  private let configuration: Configuration
  private var formats: [TrackFormat] = []
  private var container: SegmentContainer?
  /// The one before, after `finish`.
  private var lastContainer: SegmentContainer?
  private var lead = 0
  private var open: Open?
  private var isDiscontinuity = false
  private var hasBegun = false
  // All media times are in microseconds.
  private var leadTime: Int64?
  /// The newest presentation time of any track, and where the lead's newest picture ends.
  private var newest: Int64 = 0, leadEnd: Int64 = 0
  private var step: Int64 = 40_000
  private var origin: (time: Int64, date: WallTime)?
  private var lastSize = 0

  package init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

  /// The tracks from here on, as of a new publisher or a changed format: ends the segment in the making, which is returned,
  /// and the next one is a discontinuity.
  package mutating func start(_ formats: [TrackFormat], in container: SegmentContainer) -> Segment? {
    let segment = close(at: nil)
    self.formats = formats
    self.container = container
    lead = formats.firstIndex { $0.kind == .video } ?? formats.firstIndex { $0.kind == .audio } ?? 0
    jump()
    return segment
  }

  /// MPEG-TS segments of these tracks.
  package mutating func start(_ formats: [TrackFormat]) throws(TSError) -> Segment? {
    start(formats, in: try .mpegTS(formats: formats, after: container ?? lastContainer))
  }

  /// The segment that this frame completes, if it does: the frame itself begins the next one.
  /// - Parameter date: when the frame arrived.
  package mutating func receive(_ frame: Frame, date: WallTime) -> Segment? {
    let index = Int(frame.track)
    guard container != nil, index < formats.count, formats[index].kind != .data else { return nil }
    let time = MediaTime.rescale(frame.pts, from: formats[index].timescale, to: 1_000_000)
    let isKey = frame.isKey || formats[index].kind == .audio
    var completed: Segment?
    if index == lead {
      let decodeTime = MediaTime.rescale(frame.dts, from: formats[index].timescale, to: 1_000_000)
      if isJump(decodeTime) {
        completed = close(at: nil)
        jump()
      } else if isCut(time, isKey: isKey) {
        completed = close(at: time)
      }
      if open == nil, !begin(time, date, isKey: isKey, mayContinue: completed != nil) { return completed }
      observe(decodeTime)
      leadEnd = max(leadEnd, time &+ step)
    } else {
      guard open != nil, isNear(time) else { return nil }
      // Only a lead that stands still lets another track get this far.
      if isCut(time, isKey: false) {
        completed = close(at: time)
        _ = begin(time, date, isKey: false, mayContinue: true)
      }
    }
    newest = max(newest, time)
    if var segment = open {
      open = nil
      container?.append(frame, &segment.bytes)
      open = segment
    }
    return completed
  }

  /// The last, unfinished segment, when the publisher leaves. What follows is a discontinuity.
  package mutating func finish() -> Segment? {
    let segment = close(at: nil)
    lastContainer = container ?? lastContainer
    container = nil
    jump()
    return segment
  }
}

extension Segmenter {
  private static let farAway: Int64 = 10_000_000
  /// Encoders that reorder or restart a little are not punished with a discontinuity.
  private static let smallStepBack: Int64 = 500_000

  private func isJump(_ time: Int64) -> Bool {
    guard let leadTime else { return false }
    return time &- leadTime < -Segmenter.smallStepBack || time &- max(leadTime, newest) > Segmenter.farAway
  }

  private func isNear(_ time: Int64) -> Bool {
    let distance = time &- newest
    return distance <= Segmenter.farAway && distance >= -Segmenter.farAway
  }

  private func isCut(_ time: Int64, isKey: Bool) -> Bool {
    guard let open else { return false }
    let elapsed = time &- open.start
    if elapsed >= configuration.maximumDuration.nanoseconds / 1000 || open.bytes.count >= configuration.maximumBytes { return true }
    guard isKey else { return false }
    // Times are rounded to milliseconds on their way: a 2 s group of pictures may come as 1.999 s.
    let target = max(1000, configuration.targetDuration.nanoseconds / 1000)
    let slack = target / 20
    if configuration.alignsToGrid { return cell(time &+ slack, target) > cell(open.start &+ slack, target) }
    return elapsed >= target - slack
  }

  private func cell(_ time: Int64, _ size: Int64) -> Int64 { time >= 0 ? time / size : (time + 1) / size - 1 }

  /// - Parameter mayContinue: a segment was cut right here, so this one may begin without a key frame.
  private mutating func begin(_ time: Int64, _ date: WallTime, isKey: Bool, mayContinue: Bool) -> Bool {
    guard isKey || mayContinue && !isDiscontinuity else { return false }
    if isDiscontinuity { (newest, leadEnd) = (time, time) }
    var segment = Open(start: time, date: self.date(of: time, date), isDiscontinuity: isDiscontinuity && hasBegun, isIndependent: isKey)
    segment.bytes.reserveCapacity(lastSize + lastSize / 8)
    container?.begin(&segment.bytes)
    open = segment
    (isDiscontinuity, hasBegun) = (false, true)
    return true
  }

  /// Dates follow media time, which is smooth, until the two are more than two seconds apart.
  private mutating func date(of time: Int64, _ arrival: WallTime) -> WallTime {
    if let origin, !isDiscontinuity {
      let date = WallTime(milliseconds: origin.date.milliseconds &+ (time &- origin.time) / 1000)
      let distance = date.milliseconds &- arrival.milliseconds
      if -2000...2000 ~= distance { return date }
    }
    origin = (time, arrival)
    return arrival
  }

  private mutating func observe(_ decodeTime: Int64) {
    if let leadTime, 1...1_000_000 ~= decodeTime &- leadTime { step = decodeTime &- leadTime }
    leadTime = decodeTime
  }

  /// - Parameter time: where the next segment begins; `nil` when nothing continues this one.
  private mutating func close(at time: Int64?) -> Segment? {
    guard var segment = open else { return nil }
    open = nil
    container?.end(&segment.bytes)
    lastSize = segment.bytes.count
    let length = max(1000, (time ?? max(newest, leadEnd)) &- segment.start)
    return Segment(
      bytes: Slice(segment.bytes), duration: TimeSpan(nanoseconds: length &* 1000), start: segment.start, date: segment.date,
      isDiscontinuity: segment.isDiscontinuity, isIndependent: segment.isIndependent)
  }

  private mutating func jump() {
    isDiscontinuity = true
    leadTime = nil
    origin = nil
  }
}

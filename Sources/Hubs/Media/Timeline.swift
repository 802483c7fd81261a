package import MartletCodecs
package import MartletPrimitives

/// Puts the frames of successive publishers, and of encoders whose clocks jump, on one time line that never goes back.
///
/// Times are only shifted, by an offset common to all tracks as far as possible, so that lip sync survives. Small steps back
/// are clamped; a jump (more than a second back, more than ten ahead) moves the offset, once for all tracks.
package struct Timeline: Sendable {
  private static let maximumStepBack: Int64 = 1_000_000_000
  private static let maximumStepAhead: Int64 = 10_000_000_000
  /// What a jump becomes: about one frame.
  private static let nominalStep: Int64 = 33_000_000

  private struct Track {
    var offset: Int64
    /// Stream time of the last frame in nanoseconds and its decode time in ticks.
    var last: Int64?
    var lastTicks: Int64?
  }

  private var offset: Int64 = 0
  private var tracks: [UInt8: Track] = [:]
  private var end: Int64?
  private var pendingGap: Int64?
  /// Jumps seen, for the log and the metrics.
  package private(set) var jumps = 0

  package init() {}

  /// A new publisher begins, `gap` after the previous frame by the wall clock.
  package mutating func republish(after gap: TimeSpan) {
    guard end != nil else { return }
    pendingGap = max(Self.nominalStep, gap.nanoseconds)
    tracks.removeAll()
  }

  /// The frame with its times on the stream's line.
  package mutating func place(_ frame: Frame, timescale: Int32) -> Frame {
    let raw = Self.nanoseconds(frame.dts, timescale)
    if let gap = pendingGap, let end {
      offset = end &+ gap &- raw
      pendingGap = nil
    }
    var track = tracks[frame.track] ?? Track(offset: offset)
    if !isPlausible(raw &+ track.offset, after: track.last ?? end) {
      // Another track may have met the jump first.
      if !isPlausible(raw &+ offset, after: track.last ?? end) {
        offset = (track.last ?? end ?? 0) &+ Self.nominalStep &- raw
        jumps += 1
      }
      track.offset = offset
    }
    let shift = Self.ticks(track.offset, timescale)
    var placed = frame
    placed.dts = frame.dts &+ shift
    placed.pts = frame.pts &+ shift
    if let last = track.lastTicks, placed.dts <= last {
      placed.dts = last + 1
      placed.pts = max(placed.pts, placed.dts)
    }
    track.lastTicks = placed.dts
    track.last = Self.nanoseconds(placed.dts, timescale)
    end = max(end ?? .min, track.last ?? .min)
    tracks[frame.track] = track
    return placed
  }

  /// A track's clock rate changed: its ticks cannot be compared with the old ones.
  package mutating func resetTicks(of track: UInt8) { tracks[track]?.lastTicks = nil }

  private func isPlausible(_ time: Int64, after last: Int64?) -> Bool {
    guard let last else { return true }
    let step = time &- last
    return step > -Self.maximumStepBack && step < Self.maximumStepAhead
  }

  private static func nanoseconds(_ ticks: Int64, _ timescale: Int32) -> Int64 {
    MediaTime.rescale(ticks, from: timescale, to: 1_000_000_000)
  }

  private static func ticks(_ nanoseconds: Int64, _ timescale: Int32) -> Int64 {
    MediaTime.rescale(nanoseconds, from: 1_000_000_000, to: timescale)
  }
}

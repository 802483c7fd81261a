internal import MartletPrimitives
internal import MartletRTP

/// The time line of a publisher's tracks. Each has a clock of its own with an origin nobody knows; sender reports tell where they
/// meet (RFC 3550 §6.4.1). Until a track has sent one, its first packet's arrival stands in; the difference is then made up for:
/// at once at the beginning, later so slowly that nobody hears it.
internal struct PublisherClock {
  private struct Track {
    let rate: Int64
    /// Nanoseconds of the time line at tick 0.
    var offset: Int64
    var reported: (ntp: NTPTime, ticks: Int64)?
    var lastTicks: Int64
    var slewedAt: Instant
  }

  private var tracks: [Track?]
  private let start: Instant
  /// The wall-clock time of the line's zero, from the first report.
  private var origin: NTPTime?

  /// How long after the beginning a jump goes unnoticed, and what is made up for per second after it.
  private static let settling = TimeSpan.seconds(3)
  private static let slewPerSecond: Int64 = 5_000_000

  internal init(tracks: Int, start: Instant) {
    self.tracks = Array(repeating: nil, count: tracks)
    self.start = start
  }

  /// There are that many from now on.
  internal mutating func expect(tracks count: Int) { while tracks.count < count { tracks.append(nil) } }

  /// - Parameter report: as the track's ticks count: the nearest to its last frame.
  internal mutating func receive(_ report: MediaClock, of index: Int, now: Instant) {
    guard var track = tracks[index] else { return }
    let difference = Int64(Int32(bitPattern: report.timestamp &- UInt32(truncatingIfNeeded: track.lastTicks)))
    let ticks = track.lastTicks + difference
    track.reported = (report.ntp, ticks)
    // Also without frames it knows how often the clock has wrapped.
    track.lastTicks = ticks
    let line = Self.nanoseconds(ticks, track.rate) &+ track.offset
    if origin == nil { origin = report.ntp.advanced(by: TimeSpan(nanoseconds: 0 &- line)) }
    let isFirst = tracks[index]?.reported == nil
    tracks[index] = track
    if isFirst, now - start < Self.settling, let wanted = offset(track), abs(wanted &- track.offset) < Self.implausible {
      tracks[index]?.offset = wanted
    }
  }

  /// Where a frame lies, in ticks of its track from the line's zero.
  internal mutating func place(_ ticks: Int64, of index: Int, rate: UInt32, now: Instant) -> Int64 {
    var track =
      tracks[index]
      ?? Track(
        rate: Int64(max(1, rate)), offset: (now - start).nanoseconds &- Self.nanoseconds(ticks, Int64(max(1, rate))), lastTicks: ticks,
        slewedAt: now)
    track.lastTicks = ticks
    if let wanted = offset(track) {
      let limit = (now - track.slewedAt).nanoseconds / 1000 * Self.slewPerSecond / 1_000_000
      let missing = wanted &- track.offset
      if abs(missing) < Self.implausible { track.offset = track.offset &+ min(max(missing, -limit), limit) }
    }
    track.slewedAt = now
    tracks[index] = track
    return ticks &+ Self.ticks(track.offset, track.rate)
  }

  /// A report that is so far off has another clock behind it than the first one had.
  private static let implausible: Int64 = 10_000_000_000

  /// What the offset of a track would be if its last report were followed.
  private func offset(_ track: Track) -> Int64? {
    guard let origin, let reported = track.reported else { return nil }
    return (reported.ntp - origin).nanoseconds &- Self.nanoseconds(reported.ticks, track.rate)
  }

  private static func nanoseconds(_ ticks: Int64, _ rate: Int64) -> Int64 {
    let (seconds, rest) = ticks.quotientAndRemainder(dividingBy: rate)
    return seconds &* 1_000_000_000 &+ rest * 1_000_000_000 / rate
  }

  private static func ticks(_ nanoseconds: Int64, _ rate: Int64) -> Int64 {
    let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return seconds &* rate &+ rest * rate / 1_000_000_000
  }
}

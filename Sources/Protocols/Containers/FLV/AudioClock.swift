/// Audio times from sample counts. RTMP rounds them to milliseconds, which players hear as jitter and muxers see as
/// gaps; so the clock counts samples, and follows the tags again only when the two are more than 20 ms apart.
struct AudioClock: Sendable {
  private let timescale: Int32
  private let tolerance: Int64
  /// Where the next frame begins if nothing was lost.
  private var expected: Int64?
  private var last = Int64.min

  init(timescale: Int32) {
    self.timescale = timescale
    tolerance = Int64(timescale) * 20 / 1000
  }

  /// The time in ticks of a frame of `samples` ticks that a tag puts at `milliseconds`.
  mutating func stamp(milliseconds: Int64, samples: Int) -> Int64 {
    let target = milliseconds &* Int64(timescale) / 1000
    var time = expected ?? target
    let drift = time &- target
    if drift > tolerance || drift < -tolerance {
      // A small step back must not repeat a time that went out; a large one is a new time line.
      let isStep = drift > 0 && drift < Int64(timescale)
      time = isStep ? max(target, last &+ 1) : target
    }
    last = time
    expected = time &+ Int64(samples)
    return time
  }
}

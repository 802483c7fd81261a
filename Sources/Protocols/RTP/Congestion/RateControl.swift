internal import MartletPrimitives

/// The delay-based rate (draft-ietf-rmcat-gcc-02 §5.5): it grows by a share of itself while it is far from where the path was full
/// the last time, by about a packet a round trip near it, and falls below what arrives when the queue grows.
struct RateControl: Sendable {
  private static let decrease = 0.85
  /// Of itself a second.
  private static let growth = 0.08
  /// Without more traffic, more is not known to fit.
  private static let headroom = 1.5
  private static let headroomBits = 10_000.0
  /// The queue is as empty as it gets a while after a decrease.
  private static let reaction = TimeSpan.milliseconds(100)
  private static let reductions = (least: TimeSpan.milliseconds(10), most: TimeSpan.milliseconds(200))

  /// In bits a second.
  private(set) var rate: Double
  private let limits: CongestionLimits
  private var full = FullRate()
  private var updated: Instant?
  private(set) var reduced: Instant?
  /// After underuse the queue drains: no growth before it is normal again.
  private var isHeld = false

  init(_ limits: CongestionLimits) {
    self.limits = limits
    rate = Double(limits.start)
  }

  mutating func update(_ usage: OveruseDetector.Usage, _ arriving: AcknowledgedBitrate, roundTrip: TimeSpan, now: Instant) {
    switch usage {
    case .over: if mayReduce(arriving.bitsPerSecond, roundTrip, now) { reduce(arriving.recent, now) }
    case .under: isHeld = true
    case .normal:
      if !isHeld { grow(arriving.highest, roundTrip, now) }
      isHeld = false
    }
    updated = now
  }

  private func mayReduce(_ acknowledged: Double?, _ roundTrip: TimeSpan, _ now: Instant) -> Bool {
    guard let reduced else { return true }
    let pause = min(Self.reductions.most, max(Self.reductions.least, roundTrip))
    // What arrives tells of the decrease only a round trip later, unless it is far too much.
    return now - reduced >= pause || acknowledged.map { $0 < rate / 2 } ?? false
  }

  private mutating func reduce(_ acknowledged: Double?, _ now: Instant) {
    let arriving = acknowledged ?? rate / 2
    var lower = arriving * Self.decrease
    // More arrived than the rate, out of a queue: the path is not faster for it.
    if lower > rate, let known = full.mean { lower = known * Self.decrease }
    if lower < rate { rate = limits.bounded(lower) }
    if acknowledged != nil { full.note(arriving) }
    reduced = now
    isHeld = true
  }

  /// A queue stands: less than what comes out of it, and less each time.
  mutating func drain(_ arriving: AcknowledgedBitrate, now: Instant) {
    rate = limits.bounded(min(rate, arriving.recent ?? rate) * Self.decrease)
    reduced = now
    isHeld = true
  }

  private mutating func grow(_ acknowledged: Double?, _ roundTrip: TimeSpan, _ now: Instant) {
    guard let updated else { return }
    if let acknowledged, full.isPassed(by: acknowledged) { full = FullRate() }
    let elapsed = min(1, max(0, (now - updated).seconds))
    let more = full.mean == nil ? max(1000, rate * Self.growth) * elapsed : step(roundTrip) * elapsed
    let most = acknowledged.map { Self.headroom * $0 + Self.headroomBits } ?? rate + more
    if rate < most { rate = limits.bounded(min(rate + more, most)) }
  }

  /// Near the full rate, in bits a second each second: a packet of a picture in each time that an answer takes.
  private func step(_ roundTrip: TimeSpan) -> Double {
    let picture = rate / 30
    let packet = picture / max(1, (picture / (1200 * 8)).rounded(.up))
    return max(4000, packet / (roundTrip * 2 + Self.reaction).seconds)
  }

  /// What a probe has found; the path was not full then.
  mutating func found(_ rate: Double, now: Instant) {
    self.rate = limits.bounded(rate)
    if full.isPassed(by: rate) { full = FullRate() }
    updated = now
  }

  /// Nothing is heard any more.
  mutating func fade() { rate = limits.bounded(rate * 0.8) }
}

/// At which rates the path was full, and how far they were apart.
private struct FullRate: Sendable {
  /// In kbit/s; the deviation relative to the mean.
  private var kilobits: Double?
  private var deviation = 0.4

  private static let weight = 0.05

  var mean: Double? { kilobits.map { $0 * 1000 } }

  /// Beyond three deviations it is another path than the one that is known.
  private var reach: Double { 3 * (deviation * (kilobits ?? 0)).squareRoot() }

  func isPassed(by rate: Double) -> Bool { kilobits.map { rate / 1000 > $0 + reach } ?? false }

  mutating func note(_ rate: Double) {
    let sample = rate / 1000
    guard let known = kilobits, sample >= known - reach else { return kilobits = sample }
    let mean = known + Self.weight * (sample - known)
    let difference = mean - sample
    deviation += Self.weight * (difference * difference / max(1, mean) - deviation)
    deviation = min(2.5, max(0.4, deviation))
    kilobits = mean
  }
}

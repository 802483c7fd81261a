internal import MartletPrimitives

/// What a trend of the delay says about the path (draft-ietf-rmcat-gcc-02 §5.4). The threshold follows the trend slowly, so that a
/// flow is not starved by another that fills the queue, and that jitter is not taken for it.
struct OveruseDetector: Sendable {
  enum Usage: Sendable { case normal, over, under }

  /// γ of the draft, in milliseconds.
  private static let bounds = 6.0...600.0
  private static let (growth, decay) = (0.0087, 0.039)
  /// A trend this far above the threshold is a step of the path and does not move it.
  private static let outlier = 15.0
  private static let longestInterval = 100.0
  /// How long it must last, in milliseconds.
  private static let patience = 10.0

  private(set) var usage = Usage.normal
  private var threshold = 12.5
  private var lastTrend = 0.0
  private var overusedFor = 0.0
  private var overuses = 0
  private var updated: Instant?

  mutating func update(trend: Double, _ step: PacketGroups.Step) {
    let interval = Double(step.sent.nanoseconds) / 1e6
    if trend > threshold {
      // Half an interval when it has just begun.
      overusedFor = overuses == 0 ? interval / 2 : overusedFor + interval
      overuses = min(overuses + 1, 1000)
      if overusedFor > Self.patience, overuses > 1, trend >= lastTrend {
        (overusedFor, overuses) = (0, 0)
        usage = .over
      }
    } else {
      (overusedFor, overuses) = (0, 0)
      usage = trend < -threshold ? .under : .normal
    }
    lastTrend = trend
    adapt(trend, step.at)
  }

  private mutating func adapt(_ trend: Double, _ now: Instant) {
    let elapsed = min(Self.longestInterval, max(0, Double((now - (updated ?? now)).nanoseconds) / 1e6))
    updated = now
    guard abs(trend) <= threshold + Self.outlier else { return }
    threshold += (abs(trend) < threshold ? Self.decay : Self.growth) * (abs(trend) - threshold) * elapsed
    threshold = min(Self.bounds.upperBound, max(Self.bounds.lowerBound, threshold))
  }
}

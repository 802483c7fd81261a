internal import MartletPrimitives

/// Whether the delay of a path grows: the slope of a line through the last groups' accumulated delays, by least squares. It is the
/// estimator that browsers have put in the place of the Kalman filter of draft-ietf-rmcat-gcc-02 §5.3.
struct DelayTrend: Sendable {
  private struct Point: Sendable {
    /// In milliseconds: of arrival, and of delay.
    var time: Double
    var delay: Double
  }

  private static let window = 20
  /// Of what was, in the smoothed delay.
  private static let smoothing = 0.9
  /// To a scale on which the detector's threshold is about as many milliseconds.
  private static let gain = 4.0
  private static let mostSteps = 60

  private var points: [Point] = []
  private var next = 0
  private var origin: Instant?
  private var accumulated = 0.0
  private var smoothed = 0.0
  private var steps = 0

  /// What the detector compares with its threshold.
  private(set) var value = 0.0

  /// For a path that is another, or a clock that jumped.
  mutating func reset() { self = DelayTrend() }

  mutating func add(_ step: PacketGroups.Step) {
    let origin = origin ?? step.at
    self.origin = origin
    steps = min(steps + 1, Self.mostSteps)
    accumulated += Self.milliseconds(step.arrival - step.sent)
    smoothed = Self.smoothing * smoothed + (1 - Self.smoothing) * accumulated
    let point = Point(time: Self.milliseconds(step.at - origin), delay: smoothed)
    if points.count < Self.window {
      points.append(point)
    } else {
      points[next] = point
      next = (next + 1) % Self.window
    }
    guard points.count == Self.window, let slope else { return }
    value = Double(steps) * slope * Self.gain
  }

  /// Milliseconds of delay a millisecond; `nil` when all points are of one moment.
  private var slope: Double? {
    let count = Double(points.count)
    let time = points.reduce(0) { $0 + $1.time } / count
    let delay = points.reduce(0) { $0 + $1.delay } / count
    var (above, below) = (0.0, 0.0)
    for point in points {
      above += (point.time - time) * (point.delay - delay)
      below += (point.time - time) * (point.time - time)
    }
    return below > 0 ? above / below : nil
  }

  private static func milliseconds(_ span: TimeSpan) -> Double { Double(span.nanoseconds) / 1e6 }
}

internal import MartletPrimitives

/// At which rate packets arrive at the peer, on its clock: windows of what came, of which each counts the more the better it fits
/// what was known.
struct AcknowledgedBitrate: Sendable {
  private static let firstWindow = TimeSpan.milliseconds(500)
  private static let window = TimeSpan.milliseconds(150)
  /// The variance of a sample as far from the estimate as the estimate is large, in (kbit/s)²; that between two samples.
  private static let scale = 10.0
  private static let drift = 5.0

  /// Windows that a burst is remembered for: a stream that comes in bursts shows what the path takes in them, not on average.
  private static let memory = 6
  /// Of them, those in which a queue that is seen now has built up.
  private static let present = 2

  /// Bits a second; `nil` before the first window is full.
  var bitsPerSecond: Double? { estimate.map { $0 * 1000 } }
  /// The most of the last windows.
  var recent: Double? { peak(Self.present) }
  var highest: Double? { peak(Self.memory) }

  private func peak(_ count: Int) -> Double? { estimate.map { max($0, samples.suffix(count).max() ?? 0) * 1000 } }

  /// In kbit/s.
  private var estimate: Double?
  private var samples: [Double] = []
  private var variance = 50.0
  private var bytes = 0
  private var elapsed = TimeSpan.zero
  private var last: Instant?

  mutating func add(bytes count: Int, at arrival: Instant) {
    let window = estimate == nil ? Self.firstWindow : Self.window
    if let last {
      let gap = max(.zero, arrival - last)
      elapsed = elapsed + gap
      // Nothing was under way for longer than the window.
      if gap > window { (bytes, elapsed) = (0, .zero) }
    }
    last = max(last ?? arrival, arrival)
    if elapsed >= window {
      add(sample: Double(bytes) * 8e6 / Double(elapsed.nanoseconds))
      (bytes, elapsed) = (0, .zero)
    }
    bytes += count
  }

  private mutating func add(sample: Double) {
    if samples.count == Self.memory { samples.removeFirst() }
    samples.append(sample)
    guard let known = estimate else { return estimate = sample }
    let uncertainty = Self.scale * abs(known - sample) / max(1, known)
    let (sampleVariance, predicted) = (uncertainty * uncertainty, variance + Self.drift)
    estimate = (sampleVariance * known + predicted * sample) / (sampleVariance + predicted)
    variance = sampleVariance * predicted / (sampleVariance + predicted)
  }
}

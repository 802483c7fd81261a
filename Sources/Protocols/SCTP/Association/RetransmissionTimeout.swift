internal import MartletPrimitives

/// RTO (RFC 9260 §6.3.1), and the shortest round trip of late, by which queues in the network are seen.
struct RetransmissionTimeout {
  private(set) var value: TimeSpan
  private(set) var smoothed: TimeSpan?
  private(set) var shortest: TimeSpan?
  /// The shortest of this round trip and of the one before: delayed SACKs lengthen single samples.
  private var recent = (last: TimeSpan.zero, current: TimeSpan.zero)
  private var recentSince = Instant.zero
  private var variation = TimeSpan.zero
  private var shortestSince = Instant.zero
  private let initial, minimum, maximum: TimeSpan

  /// A path may become longer: after this, the shortest round trip is measured anew.
  private static let memory = TimeSpan.seconds(30)

  init(_ configuration: SCTPConfiguration) {
    (initial, minimum, maximum) = (configuration.initialRTO, configuration.minimumRTO, configuration.maximumRTO)
    value = initial
  }

  /// - Parameter roundTrip: of something sent once only (Karn's rule).
  mutating func measure(_ roundTrip: TimeSpan, now: Instant) {
    let sample = max(roundTrip, TimeSpan(nanoseconds: 1000))
    note(sample, now)
    if shortest.map({ sample <= $0 }) ?? true || now - shortestSince > Self.memory { (shortest, shortestSince) = (sample, now) }
    if let last = smoothed {
      let difference = TimeSpan(nanoseconds: abs((last - sample).nanoseconds))
      variation = TimeSpan(nanoseconds: (variation.nanoseconds * 3 + difference.nanoseconds) / 4)
      smoothed = TimeSpan(nanoseconds: (last.nanoseconds * 7 + sample.nanoseconds) / 8)
    } else {
      (smoothed, variation) = (sample, TimeSpan(nanoseconds: sample.nanoseconds / 2))
    }
    restore()
  }

  private mutating func note(_ sample: TimeSpan, _ now: Instant) {
    if now - recentSince >= smoothed ?? .zero {
      recent = (recent.current, sample)
      recentSince = now
    } else {
      recent.current = min(recent.current, sample)
    }
  }

  /// RFC 9260 §6.3.3 E2.
  mutating func backOff() { value = min(value * 2, maximum) }

  /// What the measurements say, without what timeouts have added.
  mutating func restore() { value = smoothed.map { min(max($0 + variation * 4, minimum), maximum) } ?? initial }

  /// No queue is on the path as far as round trips tell: they are within an eighth, at least 4 ms, of the shortest.
  var seesNoQueue: Bool {
    guard let shortest else { return false }
    return min(recent.last, recent.current) <= shortest + TimeSpan(nanoseconds: max(shortest.nanoseconds / 8, 4_000_000))
  }
}

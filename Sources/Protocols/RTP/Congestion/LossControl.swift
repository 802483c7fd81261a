internal import MartletPrimitives

/// The loss-based bound (draft-ietf-rmcat-gcc-02 §6): a path that loses a few packets is used on, one that loses more is given less.
/// There is no bound until so much is lost.
struct LossControl: Sendable {
  /// Shares between 0 and 1.
  private static let (low, high) = (0.02, 0.1)
  /// Of itself a second.
  private static let growth = 0.08
  /// A share of fewer packets says little.
  private static let fewest = 50
  /// Of what arrives, which is what a path with a full queue carries: it is given no less for a burst that was too much.
  private static let least = 0.85
  private static let interval = TimeSpan.milliseconds(500)

  /// In bits a second.
  private(set) var bound: Double?
  /// Of the last interval.
  private(set) var share = 0.0
  private var (packets, lost) = (0, 0)
  private var began: Instant?

  mutating func add(packets: Int, lost: Int) {
    self.packets += packets
    self.lost += lost
  }

  /// - Parameters:
  ///   - rate: what is sent, or may be.
  ///   - arriving: of it, where that is known.
  mutating func update(rate: Double, arriving: Double, _ limits: CongestionLimits, now: Instant) {
    let began = began ?? now
    self.began = began
    guard packets >= Self.fewest, now - began >= Self.interval else { return }
    share = min(1, Double(lost) / Double(packets))
    if share > Self.high {
      let present = min(bound ?? rate, rate)
      bound = limits.bounded(min(present, max(present * (1 - 0.5 * share), arriving * Self.least)))
    } else if share < Self.low, let known = bound {
      let higher = known * (1 + Self.growth * min(1, (now - began).seconds))
      // Above what the delay allows it bounds nothing.
      bound = higher > rate * 2 ? nil : higher
    }
    (packets, lost, self.began) = (0, 0, now)
  }
}

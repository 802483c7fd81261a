/// What a path is thought to carry.
package struct BandwidthEstimate: Equatable, Sendable {
  /// What the figure is due to.
  package enum Reason: String, Sendable {
    /// Nothing is known yet.
    case start
    /// How long packets are under way, and at which rate they arrive.
    case delay
    /// Packets that do not arrive.
    case loss
    /// What the peer says (REMB).
    case remb
  }

  package var bitsPerSecond: Int
  package var reason: Reason

  package init(bitsPerSecond: Int, reason: Reason) {
    self.bitsPerSecond = bitsPerSecond
    self.reason = reason
  }
}

/// The bounds of an estimate, in bits a second.
package struct CongestionLimits: Sendable {
  /// Before anything is known. The first packets and probes go at a multiple of it.
  package var start = 1_000_000
  /// Speech still gets through.
  package var minimum = 50_000
  package var maximum = 100_000_000

  package init() {}

  func bounded(_ rate: Double) -> Double { min(Double(maximum), max(Double(minimum), rate)) }
}

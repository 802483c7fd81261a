package import MartletPrimitives

/// Bits a second over the last whole second, of a total that is looked at about as often.
package struct RateMeter: Sendable {
  private var last: (total: Int, at: Instant)?
  private var bitrate = 0

  private static let window = TimeSpan.seconds(1)

  package init() {}

  package mutating func sample(_ total: Int, now: Instant) {
    guard let last else { return self.last = (total, now) }
    guard now - last.at >= Self.window else { return }
    bitrate = Self.rate(total - last.total, now - last.at)
    self.last = (total, now)
  }

  /// - Parameter total: as it is now; where nobody looked for long, the rate since then counts.
  package func bitrate(_ total: Int, now: Instant) -> Int {
    guard let last else { return 0 }
    return now - last.at < Self.window * 2 ? bitrate : Self.rate(total - last.total, now - last.at)
  }

  private static func rate(_ bytes: Int, _ span: TimeSpan) -> Int { Int(Double(bytes) * 8 / span.seconds) }
}

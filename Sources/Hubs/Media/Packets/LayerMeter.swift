internal import MartletPrimitives

/// How much of one layer comes, second by second.
internal struct LayerMeter {
  internal let track: UInt8
  internal let layer: UInt8
  private var since: Instant
  private var last: Instant
  private var bytes = 0
  /// Of the last whole window.
  private var known: Int?

  private static let window = TimeSpan.seconds(1)
  /// Until the encoder of one that is woken has begun, wherever the publisher is.
  private static let wakingTime = TimeSpan.seconds(3)

  internal init(track: UInt8, layer: UInt8, since: Instant) {
    self.track = track
    self.layer = layer
    self.since = since
    last = since
  }

  internal mutating func add(_ count: Int, _ now: Instant) {
    last = max(last, now)
    bytes += count
    guard now - since >= Self.window else { return }
    known = Self.rate(bytes, now - since)
    (since, bytes) = (now, 0)
  }

  private static func rate(_ bytes: Int, _ span: TimeSpan) -> Int { Int(Double(bytes) * 8 / max(0.001, span.seconds)) }

  /// The layer comes again, by the wish of somebody who watches it: it is counted with what it had, until it is there.
  internal mutating func wake(rate: Int, _ now: Instant) {
    known = rate
    (since, bytes) = (now, 0)
    last = now + Self.wakingTime
  }

  /// Bits a second; `nil` of a layer that is not sent any more, or that nothing is known of yet.
  internal func rate(_ now: Instant) -> Int? { now - last > Self.window * 2 ? nil : known }
}

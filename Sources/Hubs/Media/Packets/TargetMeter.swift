internal import MartletPrimitives

/// How much each decode target of a scalable track takes, second by second.
internal struct TargetMeter {
  private var since: Instant
  private var last: Instant
  private var bytes: [Int]
  /// Bits a second, of the last whole window.
  private var known: [Int]?

  private static let window = TimeSpan.seconds(1)

  internal init(targets: Int, since: Instant) {
    self.since = since
    last = since
    bytes = Array(repeating: 0, count: targets)
  }

  internal var count: Int { bytes.count }

  internal mutating func add(_ size: Int, _ frame: ScalableFrame, _ now: Instant) {
    last = now
    for target in bytes.indices where frame.isPart(of: target) { bytes[target] += size }
    let span = now - since
    guard span >= Self.window else { return }
    known = bytes.map { Int(Double($0) * 8 / span.seconds) }
    bytes = Array(repeating: 0, count: count)
    since = now
  }

  internal func rate(_ target: Int, _ now: Instant) -> Int? { now - last > Self.window * 2 ? nil : known?[target] }
}

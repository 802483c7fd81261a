/// How long to wait before each next try: twice as long every time up to a maximum, and never quite the same, so that those
/// who lost a server together do not come back together.
public struct Backoff: Sendable {
  public let initial: TimeSpan
  public let maximum: TimeSpan
  /// Tries since the last success.
  public private(set) var attempts = 0

  public init(initial: TimeSpan = .milliseconds(500), maximum: TimeSpan = .seconds(30)) {
    self.initial = initial
    self.maximum = maximum
  }

  /// Between half of the span and all of it.
  public mutating func next(using random: inout some RandomNumberGenerator) -> TimeSpan {
    var span = initial
    for _ in 0..<min(attempts, 62) where span < maximum {
      span = span.nanoseconds > Int64.max / 2 ? maximum : span * 2
    }
    attempts &+= 1
    let bounded = max(1, min(span, maximum).nanoseconds)
    return TimeSpan(nanoseconds: bounded - Int64.random(in: 0...bounded / 2, using: &random))
  }

  public mutating func reset() { attempts = 0 }
}

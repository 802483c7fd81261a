internal import MartletPrimitives

/// When a viewer that skips pictures may ask for a key frame: everybody gets it, so one for whom the path is too narrow for long asks
/// ever more rarely.
internal struct KeyFrameDemand {
  private static let shortest = TimeSpan.seconds(2)
  private static let longest = TimeSpan.seconds(16)
  /// Without a skip for so long, the next one is the first again.
  private static let memory = TimeSpan.seconds(30)

  /// Pictures are left out until a key frame comes.
  internal private(set) var isWaiting = false
  private var interval = shortest
  private var lastSkip: Instant?
  private var nextRequest = Instant.zero

  internal mutating func didSkip(_ now: Instant) {
    isWaiting = true
    if let lastSkip, now - lastSkip > Self.memory { interval = Self.shortest }
    lastSkip = now
  }

  internal mutating func didBegin() { isWaiting = false }

  /// Answers true when it is time to ask, and counts that as done.
  internal mutating func mayAsk(_ now: Instant) -> Bool {
    guard isWaiting, now >= nextRequest else { return false }
    nextRequest = now + interval
    interval = min(Self.longest, interval * 2)
    return true
  }
}

internal import MartletPrimitives

/// Finds a queue that neither grows nor empties, which the trend of the delay says nothing about: one that is full from the start, for
/// instance, at a rate that just does not lose enough. What tells of it is the time of an answer, against the least there was.
struct StandingQueue: Sendable {
  /// Above the least time: less may be another flow's, or the radio's.
  private static let depth = TimeSpan.milliseconds(100)
  /// An answer of this span that was quick shows that the queue empties.
  private static let span = TimeSpan.seconds(1)
  /// A queue that has become shorter by this is on its way.
  private static let progress = TimeSpan.milliseconds(20)
  /// As often the rate is reduced in vain; then the path has become longer, or others fill the queue.
  private static let patience = 3

  private var least: TimeSpan?
  private var before = TimeSpan.zero
  private var shortest: TimeSpan?
  private var began: Instant?
  private var attempts = 0

  /// Takes the time that an answer took.
  /// - Returns: whether the queue has stood for the whole of a span that ends now.
  mutating func add(_ roundTrip: TimeSpan, now: Instant) -> Bool {
    let start = began ?? now
    let quickest = min(shortest ?? roundTrip, roundTrip)
    (began, shortest) = (start, quickest)
    guard now - start >= Self.span else { return false }
    (began, shortest) = (now, nil)
    return judge(quickest)
  }

  private mutating func judge(_ quickest: TimeSpan) -> Bool {
    defer { before = quickest }
    guard let known = least, quickest > known + Self.depth else {
      least = min(least ?? quickest, quickest)
      attempts = 0
      return false
    }
    if quickest + Self.progress < before { return false }
    attempts += 1
    guard attempts > Self.patience else { return true }
    (least, attempts) = (quickest, 0)
    return false
  }
}

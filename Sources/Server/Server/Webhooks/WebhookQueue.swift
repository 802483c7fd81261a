package import MartletPrimitives

/// The messages for one target, in order: one under way at a time, bounded, each tried again with growing pauses. A machine
/// without I/O: the driver sends what `next` gives and reports how it went.
package struct WebhookQueue: Sendable {
  package struct Message: Equatable, Sendable {
    package let number: UInt64
    package let body: [UInt8]
    package fileprivate(set) var attempt = 1
  }

  package enum Verdict: Equatable, Sendable {
    case delivered
    /// Try again after this long.
    case retry(after: TimeSpan)
    /// Given up, with the reason.
    case dropped(String)
  }

  private var waiting = Deque<Message>()
  private var current: Message?
  private var count: UInt64 = 0
  package var limit: Int
  package var attempts: Int
  package private(set) var delivered = 0
  package private(set) var dropped = 0

  package init(limit: Int, attempts: Int) {
    self.limit = limit
    self.attempts = attempts
  }

  package var depth: Int { waiting.count + (current == nil ? 0 : 1) }

  /// - Returns: false when the oldest message had to go for it.
  @discardableResult package mutating func append(_ body: [UInt8]) -> Bool {
    count += 1
    waiting.append(Message(number: count, body: body))
    guard waiting.count > limit else { return true }
    waiting.popFirst()
    dropped += 1
    return false
  }

  /// The message to send now, if none is under way.
  package mutating func next() -> Message? {
    guard current == nil else { return nil }
    current = waiting.popFirst()
    return current
  }

  /// How the attempt for the current message went. Client errors other than 408 and 429 are final: the same message would
  /// fail the same way.
  package mutating func finish(_ outcome: WebhookOutcome) -> Verdict {
    guard let message = current else { return .delivered }
    let reason: String
    switch outcome {
    case .answered(let status, _) where (200..<300).contains(status):
      current = nil
      delivered += 1
      return .delivered
    case .answered(let status, _) where (400..<500).contains(status) && status != 408 && status != 429:
      current = nil
      dropped += 1
      return .dropped("it answered \(status)")
    case .answered(let status, _): reason = "it answered \(status)"
    case .failed(let why): reason = why
    }
    guard message.attempt < attempts else {
      current = nil
      dropped += 1
      return .dropped("\(reason), \(message.attempt) times")
    }
    current?.attempt += 1
    // 1, 2, 4, … seconds, a minute at most.
    return .retry(after: .seconds(min(60, 1 << min(message.attempt - 1, 6))))
  }

  /// The message under way, for another attempt.
  package var retried: Message? { current }
}

package import MartletPrimitives

/// Merges the wishes of many viewers and of the loss recovery for a key frame of one track: at most one request goes to the
/// sender per interval, and it is repeated until a key frame comes.
package struct KeyFrameRequester: Sendable {
  private let interval: TimeSpan
  private let tries: Int
  private var lastSent: Instant?
  /// Requests so far.
  package private(set) var sent: UInt64 = 0
  /// Requests still to send, at most.
  private var left = 0

  /// - Parameter tries: requests without an answer, after which it is silent until the next wish: not every sender can answer.
  package init(interval: TimeSpan = .milliseconds(500), tries: Int = 10) {
    self.interval = interval
    self.tries = tries
  }

  /// Somebody needs a key frame.
  package mutating func request() { left = tries }

  /// One has begun to arrive.
  package mutating func keyFrameArrived() { left = 0 }

  /// When `poll` has something to say.
  package var deadline: Instant? {
    guard left > 0 else { return nil }
    return lastSent.map { $0 + interval } ?? .zero
  }

  /// Whether a picture loss indication is to be sent now.
  package mutating func poll(now: Instant) -> Bool {
    guard let deadline, deadline <= now else { return false }
    lastSent = now
    left -= 1
    sent += 1
    return true
  }
}

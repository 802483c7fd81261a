import MartletPrimitives
import TestSupport

/// A link of one rate with a queue before it, in virtual time: what finds the queue full is lost.
struct Bottleneck {
  /// In bits a second.
  private(set) var rate: Double
  /// Of the queue, at the rate it was made with.
  let queueBytes: Double
  let delay: TimeSpan
  /// A share of the packets, whatever the queue.
  let loss: Double
  private(set) var longestQueue = TimeSpan.zero
  private var random: SeededRandom
  private var backlog = 0.0
  private var updated = Instant.zero

  init(rate: Double, queue: TimeSpan = .milliseconds(400), delay: TimeSpan = .milliseconds(25), loss: Double = 0, seed: UInt64) {
    self.rate = rate
    self.delay = delay
    self.loss = loss
    queueBytes = rate / 8 * queue.seconds
    random = SeededRandom(seed: seed)
  }

  mutating func setRate(_ rate: Double, now: Instant) {
    drain(now)
    self.rate = rate
  }

  mutating func forgetLongestQueue() { longestQueue = .zero }

  /// When the packet arrives; `nil` when it is lost.
  mutating func send(bytes: Int, now: Instant) -> Instant? {
    drain(now)
    guard backlog + Double(bytes) <= queueBytes else { return nil }
    backlog += Double(bytes)
    let queued = TimeSpan.seconds(backlog * 8 / rate)
    longestQueue = max(longestQueue, queued)
    return Double.random(in: 0..<1, using: &random) < loss ? nil : now + delay + queued
  }

  private mutating func drain(_ now: Instant) {
    backlog = max(0, backlog - (now - updated).seconds * rate / 8)
    updated = now
  }
}

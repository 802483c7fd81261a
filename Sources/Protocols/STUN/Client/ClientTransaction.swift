package import MartletPrimitives

/// When a request is sent again and when it is given up (RFC 8489 §6.2.1, §6.2.2). The owner keeps the bytes.
///
///     start ──▶ waiting(request 1 … Rc) ── finish, or Rm × RTO after the last ──▶ done
///
/// A value that can be copied, since its owners keep many in an array.
package struct ClientTransaction: Sendable {
  package enum Action: Equatable, Sendable {
    case none
    /// Send the same bytes again.
    case transmit
    /// No answer came.
    case failed
  }

  package struct Schedule: Sendable {
    /// RTO: before the first request is sent again; doubles each time.
    package var initial: TimeSpan
    /// Rc: requests in all.
    package var requests: Int
    /// Rm: how many RTO are waited after the last one.
    package var lastWait: Int
    /// Where the doubling ends.
    package var longest: TimeSpan

    package init(initial: TimeSpan, requests: Int, lastWait: Int, longest: TimeSpan = .seconds(60)) {
      self.initial = initial
      self.requests = requests
      self.lastWait = lastWait
      self.longest = longest
    }

    /// 0, 500, 1500, 3500, 7500, 15500, 31500 ms, given up at 39.5 s.
    package static let datagram = Schedule(initial: .milliseconds(500), requests: 7, lastWait: 16)
    /// One try: the transport sends again. Ti is as long as the whole of the above (§6.2.2).
    package static let stream = Schedule(initial: .milliseconds(39_500), requests: 1, lastWait: 1)
  }

  /// How often the request has been sent.
  package private(set) var requests = 1
  /// When to call `timeout`; `nil` when the transaction is over.
  package private(set) var deadline: Instant?
  private var schedule: Schedule
  private var isCancelled = false

  /// The request has just been sent for the first time.
  package init(_ schedule: Schedule, now: Instant) {
    self.schedule = schedule
    deadline = now + Self.wait(schedule, 1)
  }

  package mutating func timeout(now: Instant) -> Action {
    guard let due = deadline, due <= now else { return .none }
    guard requests < schedule.requests, !isCancelled else {
      deadline = nil
      return .failed
    }
    requests += 1
    deadline = now + Self.wait(schedule, requests)
    return .transmit
  }

  /// A response came, or none is awaited any more.
  package mutating func finish() { deadline = nil }

  /// Goes on by another schedule from the next time on.
  package mutating func follow(_ schedule: Schedule) { self.schedule = schedule }

  /// Sends no more, but still waits until the transaction would have been given up (RFC 8445 §7.3.1.4).
  package mutating func cancelRetransmissions(now: Instant) {
    guard deadline != nil, !isCancelled else { return }
    isCancelled = true
    deadline = now + schedule.initial * schedule.lastWait
  }

  private static func wait(_ schedule: Schedule, _ request: Int) -> TimeSpan {
    guard request < schedule.requests else { return schedule.initial * schedule.lastWait }
    return min(schedule.initial * (1 << min(request - 1, 16)), schedule.longest)
  }
}

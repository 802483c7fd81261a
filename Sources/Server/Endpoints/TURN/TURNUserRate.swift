internal import MartletPrimitives
internal import Synchronization

/// What all allocations of one user may send together, on whatever worker: a `RatePolicer` in one atomic a direction.
internal final class TURNUserRate: Sendable {
  internal enum Direction { case up, down }

  private let up = Atomic<Int64>(0)
  private let down = Atomic<Int64>(0)

  /// - Parameter rate: bytes a second; 0 lets everything pass.
  internal func take(_ count: Int, _ direction: Direction, rate: Int, now: Instant) -> Bool {
    guard rate > 0 else { return true }
    return change(direction) { $0.take(count, rate: rate, now: now) }
  }

  /// Counts what has come already.
  /// - Returns: how long to rest.
  internal func charge(_ count: Int, _ direction: Direction, rate: Int, now: Instant) -> TimeSpan? {
    guard rate > 0 else { return nil }
    return change(direction) { $0.charge(count, rate: rate, now: now) }
  }

  private func change<Answer>(_ direction: Direction, _ change: (inout RatePolicer) -> Answer) -> Answer {
    direction == .up ? Self.change(up, change) : Self.change(down, change)
  }

  private static func change<Answer>(_ passed: borrowing Atomic<Int64>, _ change: (inout RatePolicer) -> Answer) -> Answer {
    var seen = passed.load(ordering: .relaxed)
    while true {
      var meter = RatePolicer(busyUntil: Instant(nanoseconds: seen))
      let answer = change(&meter)
      let (exchanged, original) = passed.weakCompareExchange(
        expected: seen, desired: meter.busyUntil.nanoseconds, ordering: .relaxed)
      if exchanged { return answer }
      seen = original
    }
  }
}

/// The rates of users that have allocations.
internal final class TURNUserRates: Sendable {
  private struct Entry {
    let rate = TURNUserRate()
    var holders = 0
  }

  private let entries = Mutex<[String: Entry]>([:])

  internal func join(_ user: String) -> TURNUserRate {
    entries.withLock { entries in
      entries[user, default: Entry()].holders += 1
      return entries[user, default: Entry()].rate
    }
  }

  internal func leave(_ user: String) {
    entries.withLock { entries in
      guard let holders = entries[user]?.holders else { return }
      if holders > 1 { entries[user]?.holders = holders - 1 } else { entries[user] = nil }
    }
  }
}

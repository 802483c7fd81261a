internal import MartletPrimitives
internal import Synchronization

/// What all allocations of one user may send together, on whatever worker: the instant at which everything that has passed would have
/// passed at the limit, which may lie up to a second ahead (the generic cell rate algorithm of ITU-T I.371). One atomic a direction.
internal final class TURNUserRate: Sendable {
  internal enum Direction { case up, down }

  private static let burst: Int64 = 1_000_000_000
  private let up = Atomic<Int64>(0)
  private let down = Atomic<Int64>(0)

  /// - Parameter rate: bytes a second; 0 lets everything pass.
  internal func take(_ count: Int, _ direction: Direction, rate: Int, now: Instant) -> Bool {
    guard rate > 0 else { return true }
    let cost = Int64(count) * 1_000_000_000 / Int64(rate)
    return direction == .up ? Self.take(up, cost, now) : Self.take(down, cost, now)
  }

  private static func take(_ passed: borrowing Atomic<Int64>, _ cost: Int64, _ now: Instant) -> Bool {
    var seen = passed.load(ordering: .relaxed)
    while true {
      let next = max(seen, now.nanoseconds) + cost
      guard next <= now.nanoseconds + burst else { return false }
      let (exchanged, original) = passed.weakCompareExchange(expected: seen, desired: next, ordering: .relaxed)
      if exchanged { return true }
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

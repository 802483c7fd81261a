internal import MartletPrimitives
internal import Synchronization

/// Counts what each user has open, over all workers.
package final class UserCensus: Sendable {
  /// 0 is no limit.
  package let limit: Int
  private let counts = Mutex(Tally<String>())

  package init(limit: Int) { self.limit = limit }

  /// - Returns: false when the user has as many as one may.
  package func enter(_ user: String) -> Bool {
    guard limit > 0 else { return true }
    return counts.withLock { counts in
      guard counts[user] < limit else { return false }
      counts.add(user)
      return true
    }
  }

  package func leave(_ user: String) {
    guard limit > 0 else { return }
    counts.withLock { $0.remove(user) }
  }
}

internal import Synchronization

/// Counts what each user has open, over all workers.
package final class UserCensus: Sendable {
  /// 0 is no limit.
  package let limit: Int
  private let counts = Mutex<[String: Int]>([:])

  package init(limit: Int) { self.limit = limit }

  /// - Returns: false when the user has as many as one may.
  package func enter(_ user: String) -> Bool {
    guard limit > 0 else { return true }
    return counts.withLock { counts in
      guard counts[user, default: 0] < limit else { return false }
      counts[user, default: 0] += 1
      return true
    }
  }

  package func leave(_ user: String) {
    guard limit > 0 else { return }
    counts.withLock { counts in
      guard let count = counts[user] else { return }
      counts[user] = count > 1 ? count - 1 : nil
    }
  }
}

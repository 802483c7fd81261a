internal import MartletHTTP
internal import Synchronization

/// Who has how much: bytes of finished files, and those that unfinished uploads will have.
internal final class FileAccounts: Sendable {
  private struct State {
    var total = 0
    var byUser: [String: Int] = [:]
  }

  private let state = Mutex(State())
  private let quota: Int
  private let userQuota: Int

  internal init(quota: Int, userQuota: Int) {
    self.quota = quota
    self.userQuota = userQuota
  }

  internal var total: Int { state.withLock { $0.total } }

  internal func used(by user: String) -> Int { state.withLock { $0.byUser[user] ?? 0 } }

  /// - Parameter user: empty is nobody by name, whom only the quota of all limits.
  /// - Throws: 507.
  internal func reserve(_ bytes: Int, for user: String) throws(HTTPError) {
    guard bytes > 0 else { return }
    let refusal = state.withLock { state -> String? in
      guard state.total <= quota, bytes <= quota - state.total else {
        return "there is no room for \(bytes) more bytes (files.quota is \(quota), \(state.total) are in use)"
      }
      let mine = state.byUser[user] ?? 0
      if userQuota > 0, !user.isEmpty {
        guard mine <= userQuota, bytes <= userQuota - mine else {
          return "you have no room for \(bytes) more bytes (files.user_quota is \(userQuota), you use \(mine))"
        }
      }
      state.total += bytes
      state.byUser[user] = mine + bytes
      return nil
    }
    if let refusal { throw HTTPError(507, refusal) }
  }

  internal func release(_ bytes: Int, of user: String) {
    guard bytes > 0 else { return }
    state.withLock { state in
      state.total = max(0, state.total - bytes)
      let left = (state.byUser[user] ?? 0) - bytes
      state.byUser[user] = left > 0 ? left : nil
    }
  }

  /// What was found at the start counts, whatever the quota.
  internal func add(_ bytes: Int, of user: String) {
    state.withLock { state in
      state.total += bytes
      state.byUser[user, default: 0] += bytes
    }
  }
}

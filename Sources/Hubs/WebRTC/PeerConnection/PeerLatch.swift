internal import Synchronization

/// Something that is decided once, for any number of tasks to wait for.
internal final class PeerLatch: Sendable {
  private struct State {
    var answer: Bool?
    var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    var next: UInt64 = 0
  }

  private let state = Mutex(State())

  /// The first answer stands.
  func settle(_ answer: Bool) {
    let waiters = state.withLock { state in
      guard state.answer == nil else { return [CheckedContinuation<Bool, Never>]() }
      state.answer = answer
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume(returning: answer) }
  }

  /// - Returns: the answer; false also when the task is cancelled.
  func wait() async -> Bool {
    let id = state.withLock { state in
      state.next += 1
      return state.next
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: Bool? = state.withLock { state in
          if let answer = state.answer { return answer }
          if Task.isCancelled { return false }
          state.waiters[id] = continuation
          return nil
        }
        if let answer { continuation.resume(returning: answer) }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: false)
    }
  }
}

internal import MartletPrimitives
internal import Synchronization

/// From tasks to a loop: what is to be sent waits here, bounded by a cost (bytes, as a rule). A task that would exceed it is
/// suspended until the peer has taken enough.
package final class Outbox<Element: Sendable, Failure: CancellableFailure>: Sendable {
  private struct State {
    var elements = Deque<(element: Element, cost: Int)>()
    var cost = 0
    /// The loop knows that there is something.
    var isAnnounced = false
    /// The sender has no more.
    var isFinished = false
    /// The loop takes no more.
    var end: Result<Void, Failure>?
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  /// What the loop finds.
  package enum Next {
    case element(Element)
    /// `onNews` tells when there is more.
    case nothingYet
    /// The sender has finished, and everything has been taken.
    case finished
  }

  private let state = Mutex(State())
  private let limit: Int
  private let onNews: @Sendable () -> Void

  /// - Parameters:
  ///   - limit: of the costs of what waits. One element may exceed it.
  ///   - onNews: called, on the sender's thread, when there is something after `next` answered `nothingYet`.
  package init(limit: Int, onNews: @escaping @Sendable () -> Void) {
    self.limit = limit
    self.onNews = onNews
  }

  /// Of what waits.
  package var cost: Int { state.withLock(\.cost) }

  // MARK: The tasks' end

  /// Queues an element, after waiting for room.
  /// - Throws: what the loop ended with, or `cancelled`.
  package func put(_ element: Element, cost: Int) async throws(Failure) {
    while true {
      // `nil`: no room. Else whether the loop must be told.
      let outcome: Result<Bool?, Failure> = state.withLock { state in
        if case .failure(let failure) = state.end { return .failure(failure) }
        guard state.end == nil, !state.isFinished else { return .success(false) }
        guard state.cost < limit else { return .success(nil) }
        state.elements.append((element, cost))
        state.cost += cost
        return .success(!exchange(&state.isAnnounced, with: true))
      }
      if let mustTell = try outcome.get() {
        if mustTell { onNews() }
        return
      }
      await wait { [limit] cost, hasEnded in cost >= limit && !hasEnded }
      if Task.isCancelled { throw .cancelled }
    }
  }

  /// The sender has no more. Safe to call again.
  package func finish() {
    let mustTell = state.withLock { state in
      state.isFinished = true
      return !exchange(&state.isAnnounced, with: true)
    }
    if mustTell { onNews() }
  }

  /// Waits until the loop has ended it, or the task is cancelled.
  package func ended() async {
    while state.withLock({ $0.end == nil }), !Task.isCancelled { await wait { _, hasEnded in !hasEnded } }
  }

  // MARK: The loop's end

  package func next() -> Next {
    let (next, waiters): (Next, [CheckedContinuation<Void, Never>]) = state.withLock { state in
      guard let (element, cost) = state.elements.popFirst() else {
        state.isAnnounced = state.isFinished
        return (state.isFinished ? .finished : .nothingYet, [])
      }
      state.cost -= cost
      return (.element(element), state.cost <= limit / 2 ? exchange(&state.waiters, with: []) : [])
    }
    for waiter in waiters { waiter.resume() }
    return next
  }

  /// Takes no more: `put` throws `failure`, or does nothing when there is none. The first call counts.
  package func end(_ failure: Failure? = nil) {
    let waiters = state.withLock { state in
      if state.end == nil { state.end = failure.map { .failure($0) } ?? .success(()) }
      state.elements.removeAll()
      return exchange(&state.waiters, with: [])
    }
    for waiter in waiters { waiter.resume() }
  }

  private func wait(while condition: @Sendable (_ cost: Int, _ hasEnded: Bool) -> Bool) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          guard condition(state.cost, state.end != nil), !Task.isCancelled else { return false }
          state.waiters.append(continuation)
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      for waiter in state.withLock({ exchange(&$0.waiters, with: []) }) { waiter.resume() }
    }
  }
}

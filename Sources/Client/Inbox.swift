internal import MartletPrimitives
internal import Synchronization

/// An error type that can say that the waiting task was cancelled.
package protocol CancellableFailure: Error {
  static var cancelled: Self { get }
}

/// From a loop to a task: what the network brings waits here, bounded by a cost (bytes, as a rule). A full inbox tells the
/// loop to stop reading, so that the peer feels it; `onRoom` tells it to go on.
package final class Inbox<Element: Sendable, Failure: CancellableFailure>: Sendable {
  private struct State {
    var elements = Deque<(element: Element, cost: Int)>()
    var cost = 0
    var isFull = false
    var end: Result<Void, Failure>?
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())
  private let limit: Int
  private let onRoom: @Sendable () -> Void

  /// - Parameters:
  ///   - limit: of the costs of what waits. One element may exceed it.
  ///   - onRoom: called, on the reader's thread, when half of it is free again after `put` answered false.
  package init(limit: Int, onRoom: @escaping @Sendable () -> Void = {}) {
    self.limit = limit
    self.onRoom = onRoom
  }

  // MARK: The loop's end

  /// - Returns: false when no more should come until `onRoom`.
  @discardableResult package func put(_ element: Element, cost: Int) -> Bool {
    let (hasRoom, waiters): (Bool, [CheckedContinuation<Void, Never>]) = state.withLock { state in
      guard state.end == nil else { return (true, []) }
      state.elements.append((element, cost))
      state.cost += cost
      if state.cost >= limit { state.isFull = true }
      return (!state.isFull, exchange(&state.waiters, with: []))
    }
    for waiter in waiters { waiter.resume() }
    return hasRoom
  }

  /// Nothing follows; what is here will still be read. The first call counts.
  package func finish(_ failure: Failure? = nil) {
    let waiters = state.withLock { state in
      if state.end == nil { state.end = failure.map { .failure($0) } ?? .success(()) }
      return exchange(&state.waiters, with: [])
    }
    for waiter in waiters { waiter.resume() }
  }

  // MARK: The task's end

  /// The next element; `nil` at the end.
  /// - Throws: what the loop finished with, or `cancelled`.
  package func next() async throws(Failure) -> Element? { try await take { $0.popFirst() } }

  /// Everything that waits, at least one element; `nil` at the end.
  package func nextBatch() async throws(Failure) -> [Element]? {
    let first: Batch? = try await take { elements in
      guard !elements.isEmpty else { return nil }
      var batch = Batch(elements: [], cost: 0)
      while let (element, cost) = elements.popFirst() {
        batch.elements.append(element)
        batch.cost += cost
      }
      return (batch, batch.cost)
    }
    return first?.elements
  }

  private struct Batch: Sendable {
    var elements: [Element]
    var cost: Int
  }

  private enum Outcome<Taken: Sendable>: Sendable {
    case taken(Taken, hasRoom: Bool)
    case ended(Result<Void, Failure>)
    case empty
  }

  private func take<Taken: Sendable>(
    _ body: (inout Deque<(element: Element, cost: Int)>) -> (Taken, Int)?
  ) async throws(Failure) -> Taken? {
    while true {
      let outcome: Outcome<Taken> = state.withLock { state in
        guard let (taken, cost) = body(&state.elements) else { return state.end.map { .ended($0) } ?? .empty }
        state.cost -= cost
        let hasRoom = state.isFull && state.cost <= limit / 2
        if hasRoom { state.isFull = false }
        return .taken(taken, hasRoom: hasRoom)
      }
      switch outcome {
      case .taken(let taken, let hasRoom):
        if hasRoom { onRoom() }
        return taken
      case .ended(.success): return nil
      case .ended(.failure(let failure)): throw failure
      case .empty: await wait()
      }
      if Task.isCancelled { throw .cancelled }
    }
  }

  private func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          // A cancellation comes before its handler runs, so one of the two places sees it.
          guard state.elements.isEmpty, state.end == nil, !Task.isCancelled else { return false }
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

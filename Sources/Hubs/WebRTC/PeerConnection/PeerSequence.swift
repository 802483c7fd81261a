internal import MartletPrimitives
internal import Synchronization

/// What comes from a peer connection, or a room of them, in order, for one task: `for await`. It ends when that does.
public struct PeerSequence<Element: Sendable>: AsyncSequence, Sendable {
  public typealias Failure = Never

  package enum Overflow: Sendable {
    /// Nothing is dropped; their number is bounded by what happens.
    case never
    /// The oldest goes.
    case dropsOldest(Int)
  }

  internal let box: PeerBox<Element>

  package init(_ overflow: Overflow, onRoom: @escaping @Sendable () -> Void = {}) { box = PeerBox(overflow, onRoom: onRoom) }

  package func put(_ element: Element) { box.put(element) }
  package func finish() { box.finish() }

  public func makeAsyncIterator() -> Iterator { Iterator(box: box) }

  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let box: PeerBox<Element>

    public mutating func next() async -> Element? { await box.next() }

    public mutating func next(isolation actor: isolated (any Actor)?) async -> Element? { await box.next() }
  }
}

/// From the loop to a task.
internal final class PeerBox<Element: Sendable>: Sendable {
  private struct State {
    var elements = Deque<Element>()
    var hasEnded = false
    /// More than one only where several tasks share the sequence; each of them looks again when it is woken.
    var waiters: [CheckedContinuation<Void, Never>] = []

    mutating func wake() -> [CheckedContinuation<Void, Never>] {
      defer { waiters = [] }
      return waiters
    }
  }

  private let state = Mutex(State())
  private let overflow: PeerSequence<Element>.Overflow
  private let onRoom: @Sendable () -> Void

  init(_ overflow: PeerSequence<Element>.Overflow, onRoom: @escaping @Sendable () -> Void) {
    self.overflow = overflow
    self.onRoom = onRoom
  }

  /// - Returns: how many wait now.
  @discardableResult func put(_ element: Element) -> Int {
    let (count, woken): (Int, [CheckedContinuation<Void, Never>]) = state.withLock { state in
      guard !state.hasEnded else { return (0, []) }
      if case .dropsOldest(let limit) = overflow, state.elements.count >= limit {
        state.elements.popFirst()
      }
      state.elements.append(element)
      return (state.elements.count, state.wake())
    }
    for waiter in woken { waiter.resume() }
    return count
  }

  func finish() {
    let woken = state.withLock { state in
      state.hasEnded = true
      return state.wake()
    }
    for waiter in woken { waiter.resume() }
  }

  func next() async -> Element? {
    while !Task.isCancelled {
      let (element, isEmpty, hasEnded): (Element?, Bool, Bool) = state.withLock { state in
        let element = state.elements.popFirst()
        return (element, state.elements.isEmpty, state.hasEnded)
      }
      if let element {
        if isEmpty { onRoom() }
        return element
      }
      if hasEnded { return nil }
      await wait()
    }
    return nil
  }

  private func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let mustWait = state.withLock { state in
          guard state.elements.isEmpty, !state.hasEnded, !Task.isCancelled else { return false }
          state.waiters.append(continuation)
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      for waiter in state.withLock({ $0.wake() }) { waiter.resume() }
    }
  }
}

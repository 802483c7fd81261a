internal import MartletPrimitives
internal import Synchronization

/// What comes from a peer connection, in order, for one task: `for await`. It ends when the connection, channel or track does.
public struct PeerSequence<Element: Sendable>: AsyncSequence, Sendable {
  public typealias Failure = Never

  internal enum Overflow: Sendable {
    /// Nothing is dropped; their number is bounded by what happens.
    case never
    /// The oldest goes.
    case dropsOldest(Int)
  }

  internal let box: PeerBox<Element>

  internal init(_ overflow: Overflow, onRoom: @escaping @Sendable () -> Void = {}) { box = PeerBox(overflow, onRoom: onRoom) }

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
    var waiter: CheckedContinuation<Void, Never>?
    var dropped = 0
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
    let (count, waiter): (Int, CheckedContinuation<Void, Never>?) = state.withLock { state in
      guard !state.hasEnded else { return (0, nil) }
      if case .dropsOldest(let limit) = overflow, state.elements.count >= limit {
        state.elements.popFirst()
        state.dropped += 1
      }
      state.elements.append(element)
      return (state.elements.count, state.waiter.take())
    }
    waiter?.resume()
    return count
  }

  func finish() {
    state.withLock { state in
      state.hasEnded = true
      return state.waiter.take()
    }?.resume()
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
          guard state.elements.isEmpty, !state.hasEnded, !Task.isCancelled, state.waiter == nil else { return false }
          state.waiter = continuation
          return true
        }
        if !mustWait { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiter.take() }?.resume()
    }
  }
}

internal import Synchronization

/// The one way data goes from one worker to another: a bounded single-producer, single-consumer ring without locks.
///
/// The producer pushes during its turn and wakes the consumer once at the turn's end (a wake costs more than a hundred
/// pushes). When the ring is full, `push` says so and the producer drops by its own rule; nothing ever waits.
package final class WorkerRing<Element: Sendable>: @unchecked Sendable {
  private struct Entry {
    var element: Element
    var size: Int
  }

  /// Made by the producer with its first element and seen by the consumer behind `tail`: most pairs of workers never talk.
  private var slots: UnsafeMutablePointer<Entry?>?
  private let mask: Int
  private let byteLimit: Int
  /// Written by the consumer and the producer respectively; both only grow.
  private let head = Atomic<Int>(0)
  private let tail = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)

  /// - Parameters:
  ///   - capacity: elements, rounded up to a power of two.
  ///   - byteLimit: what the elements' sizes may add up to.
  package init(capacity: Int = 4096, byteLimit: Int = 64 << 20) {
    let rounded = 1 << (Int.bitWidth - max(1, capacity - 1).leadingZeroBitCount)
    mask = rounded - 1
    self.byteLimit = byteLimit
  }

  deinit {
    slots?.deinitialize(count: mask + 1)
    slots?.deallocate()
  }

  private func makeSlots() -> UnsafeMutablePointer<Entry?> {
    let made = UnsafeMutablePointer<Entry?>.allocate(capacity: mask + 1)
    made.initialize(repeating: nil, count: mask + 1)
    slots = made
    return made
  }

  /// Producer only. False when the element does not fit.
  package func push(_ element: Element, size: Int) -> Bool {
    let tail = tail.load(ordering: .relaxed)
    guard tail - head.load(ordering: .acquiring) <= mask, bytes.load(ordering: .relaxed) + size <= byteLimit else { return false }
    (slots ?? makeSlots())[tail & mask] = Entry(element: element, size: size)
    bytes.add(size, ordering: .relaxed)
    self.tail.store(tail + 1, ordering: .releasing)
    return true
  }

  /// Consumer only.
  package func pop() -> Element? {
    let head = head.load(ordering: .relaxed)
    guard head < tail.load(ordering: .acquiring), let entry = slots?[head & mask].take() else { return nil }
    bytes.subtract(entry.size, ordering: .relaxed)
    self.head.store(head + 1, ordering: .releasing)
    return entry.element
  }
}

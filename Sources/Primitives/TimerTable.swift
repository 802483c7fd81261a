/// Deadlines and what waits for them: a binary heap over a slab, so that cancelling is constant-time and lazy.
///
/// A connection re-arms nothing per packet: it writes down when it last read and looks again when its timer fires.
public struct TimerTable<Waiter> {
  private struct Entry {
    var deadline: Instant
    var id: SlabID
  }

  private var heap: [Entry] = []
  private var waiters = Slab<Waiter>()

  public init() {}

  /// The earliest deadline, perhaps that of a cancelled timer: waking up for nothing once is cheaper than searching.
  public var deadline: Instant? { heap.first?.deadline }

  public mutating func schedule(at deadline: Instant, _ waiter: Waiter) -> SlabID {
    let id = waiters.insert(waiter)
    heap.append(Entry(deadline: deadline, id: id))
    siftUp(heap.count - 1)
    return id
  }

  public mutating func cancel(_ id: SlabID) {
    waiters.remove(id)
    // Keep cancelled entries from outnumbering live ones.
    if heap.count > 64, heap.count > waiters.count * 2 { compact() }
  }

  /// Removes and answers one waiter whose deadline has passed.
  public mutating func popDue(now: Instant) -> Waiter? {
    while let first = heap.first, first.deadline <= now {
      let last = heap.removeLast()
      if !heap.isEmpty {
        heap[0] = last
        siftDown(0)
      }
      if let waiter = waiters.remove(first.id) { return waiter }
    }
    return nil
  }

  private mutating func compact() {
    heap = heap.filter { waiters[$0.id] != nil }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      let left = 2 * parent + 1
      if left < heap.count, heap[left].deadline < heap[least].deadline { least = left }
      if left + 1 < heap.count, heap[left + 1].deadline < heap[least].deadline { least = left + 1 }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

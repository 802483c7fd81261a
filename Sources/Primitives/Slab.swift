/// Names an object of a slab; stale once the object is gone, even when its slot is used again.
public struct SlabID: Hashable, Sendable {
  public let slot: UInt32
  public let generation: UInt32
}

/// Objects by small stable ids. Async work captures the id, never the object: a stale id simply finds nothing.
public struct Slab<Element> {
  @usableFromInline struct Entry {
    @usableFromInline var generation: UInt32
    @usableFromInline var element: Element?
  }
  @usableFromInline var entries: [Entry] = []
  @usableFromInline var free: [UInt32] = []

  public init() {}

  public var count: Int { entries.count - free.count }

  public mutating func insert(_ element: Element) -> SlabID {
    if let slot = free.popLast() {
      entries[Int(slot)].element = element
      return SlabID(slot: slot, generation: entries[Int(slot)].generation)
    }
    entries.append(Entry(generation: 0, element: element))
    return SlabID(slot: UInt32(entries.count - 1), generation: 0)
  }

  public subscript(id: SlabID) -> Element? {
    guard Int(id.slot) < entries.count, entries[Int(id.slot)].generation == id.generation else { return nil }
    return entries[Int(id.slot)].element
  }

  @discardableResult public mutating func remove(_ id: SlabID) -> Element? {
    guard let element = self[id] else { return nil }
    entries[Int(id.slot)].element = nil
    entries[Int(id.slot)].generation &+= 1
    free.append(id.slot)
    return element
  }

  /// A snapshot of all elements, safe to walk while elements are removed.
  public var elements: [Element] { entries.compactMap(\.element) }
}

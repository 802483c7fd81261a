/// A double-ended queue on a power-of-two ring: constant-time append, pop and index, no allocation in steady state.
public struct Deque<Element> {
  @usableFromInline var storage: [Element?]
  @usableFromInline var head = 0
  @usableFromInline var filled = 0

  @inlinable public init() { storage = [] }

  @inlinable public var count: Int { filled }
  @inlinable public var isEmpty: Bool { count == 0 }
  @inlinable public var first: Element? { isEmpty ? nil : storage[head] }
  @inlinable public var last: Element? { isEmpty ? nil : storage[slot(count - 1)] }

  @inlinable func slot(_ index: Int) -> Int { (head &+ index) & (storage.count &- 1) }

  /// The element `index` places behind the first.
  @inlinable public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "a deque index lies inside it")
      return storage[slot(index)].unsafelyUnwrapped
    }
    set {
      precondition(index >= 0 && index < count, "a deque index lies inside it")
      storage[slot(index)] = newValue
    }
  }

  @inlinable public mutating func append(_ element: Element) {
    if count == storage.count { grow() }
    storage[slot(count)] = element
    filled += 1
  }

  @inlinable public mutating func prepend(_ element: Element) {
    if count == storage.count { grow() }
    head = (head &- 1) & (storage.count &- 1)
    storage[head] = element
    filled += 1
  }

  @inlinable @discardableResult public mutating func popFirst() -> Element? {
    guard count > 0 else { return nil }
    defer {
      head = (head &+ 1) & (storage.count &- 1)
      filled -= 1
    }
    return storage[head].take()
  }

  @inlinable @discardableResult public mutating func popLast() -> Element? {
    guard count > 0 else { return nil }
    filled -= 1
    return storage[slot(count)].take()
  }

  @inlinable public mutating func removeAll() {
    storage.removeAll()
    head = 0
    filled = 0
  }

  @inlinable mutating func grow() {
    var larger = [Element?](repeating: nil, count: Swift.max(8, storage.count * 2))
    for index in 0..<count { larger[index] = storage[slot(index)] }
    storage = larger
    head = 0
  }
}

extension Deque: Sendable where Element: Sendable {}

extension Deque: Sequence {
  @inlinable public func makeIterator() -> AnyIterator<Element> {
    var index = 0
    return AnyIterator {
      guard index < count else { return nil }
      defer { index += 1 }
      return self[index]
    }
  }
}

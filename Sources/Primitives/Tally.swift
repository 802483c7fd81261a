/// How many there are of each key. One that has none left takes no memory.
package struct Tally<Key: Hashable & Sendable>: Sendable {
  private var counts: [Key: Int] = [:]

  package init() {}

  package subscript(key: Key) -> Int { counts[key, default: 0] }

  package mutating func add(_ key: Key, _ count: Int = 1) { counts[key, default: 0] += count }

  /// One that was added is gone; what was not is passed over.
  package mutating func remove(_ key: Key) {
    guard let count = counts[key] else { return }
    counts[key] = count > 1 ? count - 1 : nil
  }
}

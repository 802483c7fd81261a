package import MartletPrimitives

/// How far an `OutputSource` is with its items: the one of which a part has left, and how much of it.
package struct SendProgress {
  private var partial: Slice?
  private var offset = 0

  package init() {}

  package var isMidItem: Bool { partial != nil }

  /// Adds the rest of an item that was cut short; the source's further items follow.
  package func gather(into vector: IOVector) {
    if let partial { vector.append(partial, from: offset) }
  }

  /// `count` bytes of what was gathered have left.
  /// - Parameter next: takes the source's next item, in the order of gathering.
  package mutating func advance(by count: Int, next: () -> Slice?) {
    var left = count
    if let item = partial {
      left += offset
      guard left >= item.count else { return offset = left }
      left -= item.count
      (partial, offset) = (nil, 0)
    }
    while left > 0, let item = next() {
      guard left >= item.count else { return (partial, offset) = (item, left) }
      left -= item.count
    }
  }
}

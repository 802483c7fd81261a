/// State by SSRC, bounded. Most sessions have few sources, and their packets alternate: the first ones are found without a hash.
struct SourceTable<Element> {
  private var first = SIMD8<UInt32>(repeating: 0)
  private var slots: [UInt32: Int] = [:]
  private var elements: [Element] = []
  let maximum: Int

  init(maximum: Int) { self.maximum = maximum }

  var isFull: Bool { elements.count >= maximum }

  func slot(of ssrc: UInt32) -> Int? {
    for slot in 0..<min(elements.count, first.scalarCount) where first[slot] == ssrc { return slot }
    return elements.count > first.scalarCount ? slots[ssrc] : nil
  }

  /// The element in a slot that `slot(of:)` has answered.
  subscript(slot: Int) -> Element {
    _read { yield elements[slot] }
    _modify { yield &elements[slot] }
  }

  /// Answers the new element's slot.
  @discardableResult mutating func insert(_ element: Element, for ssrc: UInt32) throws(SRTPError) -> Int {
    guard !isFull else { throw .tooManySources(maximum: maximum) }
    let slot = elements.count
    if slot < first.scalarCount { first[slot] = ssrc } else { slots[ssrc] = slot }
    elements.append(element)
    return slot
  }
}

/// State by SSRC, bounded, with the last one found at hand: packets come in runs of one source.
struct SourceTable<Element> {
  private var slots: [UInt32: Int] = [:]
  private var elements: [Element] = []
  private var recent: (ssrc: UInt32, slot: Int)?
  let maximum: Int

  init(maximum: Int) { self.maximum = maximum }

  var isFull: Bool { elements.count >= maximum }

  mutating func slot(of ssrc: UInt32) -> Int? {
    if let recent, recent.ssrc == ssrc { return recent.slot }
    guard let slot = slots[ssrc] else { return nil }
    recent = (ssrc, slot)
    return slot
  }

  /// The element in a slot that `slot(of:)` has answered.
  subscript(slot: Int) -> Element {
    _read { yield elements[slot] }
    _modify { yield &elements[slot] }
  }

  /// Answers the new element's slot.
  @discardableResult mutating func insert(_ element: Element, for ssrc: UInt32) throws(SRTPError) -> Int {
    guard !isFull else { throw .tooManySources(maximum: maximum) }
    slots[ssrc] = elements.count
    elements.append(element)
    return elements.count - 1
  }
}

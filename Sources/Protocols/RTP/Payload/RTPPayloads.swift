package import MartletPrimitives

/// The RTP payloads of one frame, one behind the other in a buffer that its owner uses again for the next.
package struct RTPPayloads: Sendable {
  private var bytes: [UInt8] = []
  private var ends: [Int] = []
  /// Ticks after the frame's time at which each payload begins: audio cut into several packets.
  private var offsets: [UInt32] = []

  package init() {}

  package var count: Int { ends.count }
  package var isEmpty: Bool { ends.isEmpty }
  package var totalBytes: Int { ends.last ?? 0 }

  private func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

  /// A payload, for as long as this is borrowed. The index lies below `count`.
  package subscript(index: Int) -> RawSpan {
    @_lifetime(borrow self) get { bytes.span.bytes.extracting(range(index)) }
  }

  /// Ticks to add to the frame's timestamp; 0 for video.
  package func timestampOffset(of index: Int) -> UInt32 { offsets[index] }

  /// All payloads as shares of one copy, to be kept.
  package var slices: [Slice] {
    let whole = Slice(bytes)
    return ends.indices.map { whole.sub(range($0)) }
  }

  /// Keeps the memory.
  package mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    offsets.removeAll(keepingCapacity: true)
  }

  mutating func append(_ byte: UInt8) { bytes.append(byte) }
  mutating func append(_ span: RawSpan) { bytes.append(span) }
  mutating func append(_ part: Slice) { bytes.append(part.bytes) }
  mutating func append(_ value: UInt16) {
    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
    bytes.append(UInt8(truncatingIfNeeded: value))
  }

  /// What was appended since the last call is a payload.
  mutating func endPayload(timestampOffset: UInt32 = 0) {
    ends.append(bytes.count)
    offsets.append(timestampOffset)
  }
}

/// How something is cut into packets.
enum EvenSplit {
  /// The size of each part of `total` bytes, none above `maximum`: as many parts as needed and all alike, the last one shorter
  /// by less than their number. So they leave in one segmented send (UDP GSO), which wants all but the last to be equal.
  static func partSize(_ total: Int, maximum: Int) -> Int {
    let maximum = max(1, maximum)
    let parts = max(1, (total + maximum - 1) / maximum)
    return max(1, (total + parts - 1) / parts)
  }
}

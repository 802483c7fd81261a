internal import MartletPrimitives

/// Chunks other than data that wait to be sent. What a peer can provoke without end is bounded.
struct ControlQueue {
  /// A packet that cannot be joined by others: INIT, INIT ACK, ABORT and SHUTDOWN COMPLETE.
  struct Lone {
    var tag: UInt32
    var chunk: [UInt8]
    /// RFC 9653 §5.2: what is sent before both have agreed has a checksum.
    var needsChecksum: Bool
  }

  private(set) var lone = Deque<Lone>()
  private(set) var bundled = Deque<[UInt8]>()
  private let maximum: Int

  init(maximum: Int) { self.maximum = maximum }

  var isEmpty: Bool { lone.isEmpty && bundled.isEmpty }

  /// When the queue is full the chunk is lost, as on a network: whoever asks again is answered then.
  mutating func append(_ chunk: [UInt8]) {
    if bundled.count < maximum { bundled.append(chunk) }
  }

  mutating func append(alone chunk: [UInt8], tag: UInt32, needsChecksum: Bool = false) {
    if lone.count < maximum { lone.append(Lone(tag: tag, chunk: chunk, needsChecksum: needsChecksum)) }
  }

  mutating func nextLone() -> Lone? {
    defer { if lone.isEmpty { lone.removeAll() } }
    return lone.popFirst()
  }

  /// The next chunk of at most `room` bytes.
  mutating func nextBundled(room: Int) -> [UInt8]? {
    guard let first = bundled.first, first.count <= room else { return nil }
    defer { if bundled.isEmpty { bundled.removeAll() } }
    return bundled.popFirst()
  }

  mutating func removeBundled() { bundled.removeAll() }
}

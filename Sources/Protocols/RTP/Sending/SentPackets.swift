package import MartletPrimitives

/// The last packets of a stream, to answer NACKs from. One serves all viewers of the stream: a viewer's sequence numbers are
/// mapped back to the stream's by its `SequenceRewriter`.
package struct SentPackets: Sendable {
  package struct Limits: Sendable {
    /// Rounded up to a power of two, at most 16,384.
    package var packets = 2048
    package var bytes = 2 << 20
    /// What is older comes too late for a live viewer.
    package var age = TimeSpan.seconds(2)

    package init() {}
  }

  private struct Entry: Sendable {
    var number: Int64
    var packet: Slice
    var kept: Instant
  }

  private let limits: Limits
  private let capacity: Int
  /// A ring by sequence number.
  private var entries: [Entry?] = []
  private var oldest: Int64 = 0
  private var newest: Int64 = -1
  /// Of the packets kept.
  package private(set) var bytes = 0

  package init(limits: Limits = Limits()) {
    self.limits = limits
    var capacity = 1
    while capacity < min(limits.packets, 1 << 14) { capacity *= 2 }
    self.capacity = capacity
  }

  /// Keeps a whole RTP packet, not encrypted. It may come out of order; one that is older than all that are kept is not.
  package mutating func append(_ packet: Slice, sequenceNumber: UInt16, now: Instant) {
    guard newest >= oldest else { return begin(packet, Int64(sequenceNumber), now) }
    let number = extended(sequenceNumber)
    if number - newest >= Int64(capacity) { return begin(packet, number, now) }
    guard number >= oldest, entries[slot(number)]?.number != number else { return }
    while number - oldest >= Int64(capacity) { dropOldest() }
    store(packet, number, now)
    newest = max(newest, number)
    while oldest < newest, bytes > limits.bytes || isTooOld(entries[slot(oldest)], now) { dropOldest() }
  }

  /// The packet, unless it is gone.
  package func packet(_ sequenceNumber: UInt16, now: Instant) -> Slice? {
    guard newest >= oldest else { return nil }
    let number = extended(sequenceNumber)
    guard number >= oldest, number <= newest, let entry = entries[slot(number)], entry.number == number else { return nil }
    return now - entry.kept > limits.age ? nil : entry.packet
  }

  private func extended(_ sequenceNumber: UInt16) -> Int64 {
    newest + Int64(Int16(bitPattern: sequenceNumber &- UInt16(truncatingIfNeeded: newest)))
  }

  private func slot(_ number: Int64) -> Int { Int(number & Int64(capacity - 1)) }

  /// A gap counts as old.
  private func isTooOld(_ entry: Entry?, _ now: Instant) -> Bool { entry.map { now - $0.kept > limits.age } ?? true }

  private mutating func begin(_ packet: Slice, _ number: Int64, _ now: Instant) {
    entries = [Entry?](repeating: nil, count: capacity)
    bytes = 0
    (oldest, newest) = (number, number)
    store(packet, number, now)
  }

  private mutating func store(_ packet: Slice, _ number: Int64, _ now: Instant) {
    entries[slot(number)] = Entry(number: number, packet: packet, kept: now)
    bytes += packet.count
  }

  private mutating func dropOldest() {
    bytes -= entries[slot(oldest)]?.packet.count ?? 0
    entries[slot(oldest)] = nil
    oldest += 1
  }
}

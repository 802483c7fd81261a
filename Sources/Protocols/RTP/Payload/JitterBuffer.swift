package import MartletPrimitives

/// What a `JitterBuffer` may hold, and for how long.
package struct JitterLimits: Sendable {
  /// How long a missing packet is waited for, from the arrival of the first one behind it.
  package var wait = TimeSpan.milliseconds(200)
  /// Packets between the one waited for and the newest; rounded up to a power of two, at most 16,384.
  package var packets = 2048
  package var bytes = 4 * 1024 * 1024

  package init() {}
}

/// Puts the packets of one source in order. It delays nothing that is in order; behind a missing packet it holds the others back
/// until that one comes, or was waited for long enough, or there are too many. It stands before a depacketizer only: what is
/// forwarded as RTP does not pass through it.
package struct JitterBuffer: Sendable {
  package enum Output: Sendable, Equatable {
    case packet(SequencedPayload)
    /// These are given up. A depacketizer sees the gap by itself.
    case lost(ClosedRange<Int64>)
  }

  package enum Admission: Sendable, Equatable {
    case accepted
    /// It was here, or its turn is over.
    case duplicate, late
    /// So far from the others that it may be a stray; a second one in sequence makes it a restart (RFC 3550 A.1).
    case stray
  }

  private struct Entry {
    var timestamp: UInt32
    var marker: Bool
    var payload: Slice
    var arrival: Instant
  }

  private let limits: JitterLimits
  private let capacity: Int64
  /// By sequence number modulo the capacity.
  private var ring: [Entry?]
  private var held = 0, bytes = 0
  /// The sequence number whose turn it is, and the highest seen.
  private var next: Int64?
  private var highest: Int64 = 0
  private var gapSince: Instant?
  private var strayFollower: UInt16?
  private var timestamps = Unwrapper(bits: 32)

  package init(limits: JitterLimits = JitterLimits()) {
    self.limits = limits
    var capacity = 16
    while capacity < min(limits.packets, 16_384) { capacity *= 2 }
    self.capacity = Int64(capacity)
    ring = Array(repeating: nil, count: capacity)
  }

  /// When `timeout(now:into:)` has something to do.
  package var deadline: Instant? { gapSince.map { $0 + limits.wait } }

  @discardableResult
  package mutating func receive(
    sequence: UInt16, timestamp: UInt32, marker: Bool, payload: Slice, now: Instant, into output: inout [Output]
  ) -> Admission {
    guard let extended = extend(sequence, into: &output) else { return .stray }
    guard extended >= (next ?? extended) else { return .late }
    while let next, extended - next >= capacity { skipGap(into: &output, limit: extended - capacity + 1) }
    guard ring[slot(extended)] == nil else { return .duplicate }
    ring[slot(extended)] = Entry(timestamp: timestamp, marker: marker, payload: payload, arrival: now)
    held += 1
    bytes += payload.count
    if release(into: &output) { restartWait() } else if gapSince == nil { gapSince = now }
    while bytes > limits.bytes, held > 0 { skipGap(into: &output, limit: highest) }
    timeout(now: now, into: &output)
    return .accepted
  }

  /// Gives up what was waited for long enough.
  package mutating func timeout(now: Instant, into output: inout [Output]) {
    while let deadline, deadline <= now, held > 0 { skipGap(into: &output, limit: highest) }
  }

  /// Forgets what it holds and waits for: the next packet is the first.
  package mutating func restart() {
    for index in ring.indices { ring[index] = nil }
    (held, bytes, gapSince, next, strayFollower) = (0, 0, nil, nil, nil)
  }

  /// A packet that is none of its business; its clock goes on.
  package mutating func pass(timestamp: UInt32) { _ = timestamps.unwrap(UInt64(timestamp)) }

  private func slot(_ sequence: Int64) -> Int { Int(truncatingIfNeeded: sequence & (capacity - 1)) }

  /// The sequence number nearest to the highest; `nil` for a stray.
  private mutating func extend(_ sequence: UInt16, into output: inout [Output]) -> Int64? {
    guard let next else {
      (next, highest) = (Int64(sequence), Int64(sequence))
      return highest
    }
    let distance = Int64(Int16(truncatingIfNeeded: Int64(sequence) - highest))
    // Far ahead is a jump, and so is far behind: a packet that late is worth nothing.
    if distance.magnitude < UInt64(capacity) {
      strayFollower = nil
      highest = max(highest, highest + distance)
      return highest + min(distance, 0)
    }
    guard strayFollower == sequence else {
      strayFollower = sequence &+ 1
      return nil
    }
    strayFollower = nil
    restart(at: highest + (distance > 0 ? distance : distance + 0x1_0000), from: next, into: &output)
    return highest
  }

  private mutating func restart(at sequence: Int64, from: Int64, into output: inout [Output]) {
    for index in ring.indices { ring[index] = nil }
    (held, bytes, gapSince) = (0, 0, nil)
    (next, highest) = (sequence, sequence)
    output.append(.lost(from...max(from, sequence - 1)))
  }

  /// Hands out what is in order; false when there is nothing.
  private mutating func release(into output: inout [Output]) -> Bool {
    let before = held
    while held > 0, let sequence = next, let entry = ring[slot(sequence)].take() {
      held -= 1
      bytes -= entry.payload.count
      let timestamp = timestamps.unwrap(UInt64(entry.timestamp))
      output.append(
        .packet(SequencedPayload(sequence: sequence, timestamp: timestamp, marker: entry.marker, payload: entry.payload)))
      next = sequence + 1
    }
    return held < before
  }

  /// Gives up the missing packets at the front, as far as the first one that is here, and hands out what follows.
  /// - Parameter limit: where to stop when nothing is held.
  private mutating func skipGap(into output: inout [Output], limit: Int64) {
    guard let start = next else { return }
    var end = start
    while held > 0 ? ring[slot(end)] == nil : end < limit { end += 1 }
    if end > start { output.append(.lost(start...end - 1)) }
    next = end
    _ = release(into: &output)
    restartWait()
  }

  /// A further gap is waited for from the arrival of the first packet behind it.
  private mutating func restartWait() {
    guard held > 0, var sequence = next else { return gapSince = nil }
    while ring[slot(sequence)] == nil { sequence += 1 }
    gapSince = ring[slot(sequence)]?.arrival
  }
}

internal import MartletPrimitives

/// A fragment that has a TSN and waits to be acknowledged.
struct OutgoingChunk {
  enum State { case inFlight, acknowledged, lost, abandoned }

  var payload: Slice
  /// The same for all fragments of a message, and for no other.
  var message: UInt64
  var stream: UInt16
  var flags: DataChunk.Flags
  var state = State.inFlight
  var messageNumber: UInt32
  var fragmentNumber: UInt32
  var protocolID: UInt32
  /// RFC 3758 §4.1; `UInt16.max` for no limit.
  var retransmissionLimit: UInt16
  var transmissions: UInt16 = 0
  var expiresAt: Instant
  var sentAt = Instant.zero
  /// Counts packets: tells what was sent before what, retransmissions among it.
  var packetNumber: Int64 = 0
}

/// What is sent and not cumulatively acknowledged, in the order of its TSNs.
///
/// Losses are found by packets: a chunk is lost when three packets sent after it have arrived (RFC 9260 §7.2.4 counts three
/// SACKs that miss it; counting packets, as RFC 9002 §6.1.1 does, finds lost retransmissions too, without the timer).
struct OutstandingChunks {
  /// Live ones from `head` on, so that removing from the front moves nothing.
  private var chunks: [OutgoingChunk] = []
  private var head = 0
  /// Everything up to here is acknowledged.
  private(set) var cumulative: Int64
  /// Bytes of chunks, with their heads, that are taken to be on their way.
  private(set) var flightBytes = 0
  /// Of these the payload, which is what the peer's window counts.
  private(set) var flightPayload = 0
  private(set) var lostCount = 0
  private var acknowledgedAbove = 0
  private var abandonedCount = 0
  /// No chunk before this one is lost.
  private var lostFrom: Int64 = 0
  private var newestAcknowledged: Int64 = -1
  private let isInterleaved: Bool

  private static let packetThreshold: Int64 = 3

  init(firstTSN: UInt32, isInterleaved: Bool) {
    cumulative = Int64(firstTSN) - 1
    self.isInterleaved = isInterleaved
  }

  var count: Int { chunks.count - head }
  var isEmpty: Bool { count == 0 }
  var lastTSN: Int64 { cumulative + Int64(count) }
  /// Something is there that only a timer can bring on.
  var needsTimer: Bool { flightBytes > 0 || lostCount > 0 || abandonedCount > 0 }
  var hasAbandoned: Bool { abandonedCount > 0 }

  subscript(tsn: Int64) -> OutgoingChunk { chunks[index(tsn)] }

  /// `tsn` lies above `cumulative` and not above `lastTSN`.
  private func index(_ tsn: Int64) -> Int { head + Int(tsn - cumulative) - 1 }

  private func wireBytes(_ chunk: OutgoingChunk) -> Int {
    DataChunk.headerBytes(isInterleaved: isInterleaved) + (chunk.payload.count + 3) & ~3
  }

  // MARK: Sending

  /// A chunk that is being sent for the first time.
  mutating func append(_ chunk: OutgoingChunk, packet: Int64, now: Instant) -> Int64 {
    chunks.append(chunk)
    let tsn = lastTSN
    mark(sent: tsn, packet: packet, now: now)
    return tsn
  }

  /// What will not be sent any more takes a TSN, so that FORWARD TSN can tell the peer.
  mutating func appendAbandoned(_ chunk: OutgoingChunk) {
    var chunk = chunk
    chunk.state = .abandoned
    chunks.append(chunk)
    abandonedCount += 1
  }

  /// The first chunk that is to be sent again.
  mutating func nextLost() -> Int64? {
    guard lostCount > 0 else { return nil }
    var tsn = max(lostFrom, cumulative + 1)
    while tsn <= lastTSN, chunks[index(tsn)].state != .lost { tsn += 1 }
    lostFrom = tsn
    return tsn <= lastTSN ? tsn : nil
  }

  mutating func markResent(_ tsn: Int64, packet: Int64, now: Instant) {
    lostCount -= 1
    mark(sent: tsn, packet: packet, now: now)
  }

  private mutating func mark(sent tsn: Int64, packet: Int64, now: Instant) {
    let place = index(tsn)
    chunks[place].state = .inFlight
    chunks[place].transmissions &+= 1
    chunks[place].sentAt = now
    chunks[place].packetNumber = packet
    flightBytes += wireBytes(chunks[place])
    flightPayload += chunks[place].payload.count
  }

  // MARK: Acknowledgements

  struct Acknowledged {
    /// Bytes of chunks acknowledged for the first time.
    var bytes = 0
    var movedCumulative = false
    /// When the newest chunk that was sent only once left.
    var sampleSentAt: Instant?
  }

  /// - Parameters:
  ///   - shortest: an acknowledgement of a retransmission that comes sooner belongs to what was sent first (RFC 8985 §6.2).
  ///   - gaps: offsets from `tsn`; blocks out of order, and what lies behind the last TSN, are passed over.
  mutating func acknowledge(_ tsn: Int64, gaps: [SelectiveAck.GapBlock], shortest: TimeSpan?, now: Instant) -> Acknowledged {
    var result = Acknowledged()
    while cumulative < tsn, !isEmpty {
      settle(head, &result, shortest, now)
      popFirst()
      result.movedCumulative = true
    }
    var next = cumulative + 1
    for gap in gaps {
      let (first, last) = (tsn + Int64(gap.first), min(tsn + Int64(gap.last), lastTSN))
      guard first >= next, first <= last else { continue }
      for tsn in first...last { settle(index(tsn), &result, shortest, now) }
      next = last + 1
    }
    return result
  }

  private mutating func settle(_ place: Int, _ result: inout Acknowledged, _ shortest: TimeSpan?, _ now: Instant) {
    let chunk = chunks[place]
    guard chunk.state == .inFlight || chunk.state == .lost else { return }
    leave(chunk)
    chunks[place].state = .acknowledged
    acknowledgedAbove += 1
    result.bytes += wireBytes(chunk)
    let elapsed = now - chunk.sentAt
    if chunk.transmissions == 1 {
      if chunk.sentAt >= result.sampleSentAt ?? .zero { result.sampleSentAt = chunk.sentAt }
    } else if elapsed < shortest ?? .zero {
      return
    }
    newestAcknowledged = max(newestAcknowledged, chunk.packetNumber)
  }

  /// Takes a chunk out of the counts of its state.
  private mutating func leave(_ chunk: OutgoingChunk) {
    switch chunk.state {
    case .inFlight:
      flightBytes -= wireBytes(chunk)
      flightPayload -= chunk.payload.count
    case .lost: lostCount -= 1
    case .acknowledged: acknowledgedAbove -= 1
    case .abandoned: abandonedCount -= 1
    }
  }

  private mutating func popFirst() {
    leave(chunks[head])
    // The payload is given back now, its place when as many are gone as are left.
    chunks[head].payload = Slice()
    head += 1
    cumulative += 1
    if head == chunks.count {
      chunks.removeAll(keepingCapacity: chunks.capacity <= 64)
      head = 0
    } else if head >= 64, head * 2 >= chunks.count {
      chunks.removeFirst(head)
      head = 0
    }
  }

  /// Marks what was overtaken by three packets.
  /// - Returns: whether there was any.
  mutating func detectLosses() -> Bool {
    // Without a gap nothing was overtaken.
    guard acknowledgedAbove > 0, flightBytes > 0 else { return false }
    var left = acknowledgedAbove
    var found = false
    for place in head..<chunks.count where left > 0 {
      if chunks[place].state == .acknowledged { left -= 1 }
      guard chunks[place].state == .inFlight, chunks[place].packetNumber + Self.packetThreshold <= newestAcknowledged else { continue }
      markLost(place)
      found = true
    }
    return found
  }

  /// After a timeout everything in flight is taken to be lost (RFC 9260 §6.3.3 E3).
  mutating func markAllLost() {
    for place in head..<chunks.count where chunks[place].state == .inFlight { markLost(place) }
  }

  private mutating func markLost(_ place: Int) {
    leave(chunks[place])
    chunks[place].state = .lost
    lostCount += 1
    lostFrom = min(lostFrom, cumulative + 1 + Int64(place - head))
  }

  // MARK: Giving up (RFC 3758)

  /// The message of a lost chunk that may not be sent again.
  func exhaustedMessage(now: Instant) -> OutgoingChunk? {
    guard lostCount > 0 else { return nil }
    for place in head..<chunks.count where chunks[place].state == .lost {
      let chunk = chunks[place]
      if chunk.expiresAt <= now || (chunk.retransmissionLimit < .max && chunk.transmissions > chunk.retransmissionLimit) { return chunk }
    }
    return nil
  }

  /// Gives up all fragments of a message.
  /// - Returns: whether its last one was among them.
  mutating func abandon(_ message: UInt64) -> Bool {
    var endsHere = false
    for place in head..<chunks.count where chunks[place].message == message {
      endsHere = endsHere || chunks[place].flags.contains(.end)
      guard chunks[place].state == .inFlight || chunks[place].state == .lost else { continue }
      leave(chunks[place])
      chunks[place].state = .abandoned
      chunks[place].payload = Slice()
      abandonedCount += 1
    }
    return endsHere
  }

  /// FORWARD TSN for the abandoned chunks at the front (RFC 3758 §3.5 A4, C2), with at most `maximum` entries; `nil` if there are none.
  func forward(maximum: Int) -> ForwardTSN? {
    var (tsn, skipped) = (cumulative, [ForwardTSN.Skipped]())
    for place in head..<chunks.count where chunks[place].state == .abandoned {
      guard place == head + Int(tsn - cumulative) else { break }
      let chunk = chunks[place]
      let isUnordered = chunk.flags.contains(.unordered)
      if isInterleaved || !isUnordered {
        if let known = skipped.firstIndex(where: { $0.stream == chunk.stream && $0.isUnordered == isUnordered }) {
          skipped[known].messageNumber = chunk.messageNumber
        } else {
          guard skipped.count < maximum else { break }
          skipped.append(ForwardTSN.Skipped(stream: chunk.stream, isUnordered: isUnordered, messageNumber: chunk.messageNumber))
        }
      }
      tsn += 1
    }
    guard tsn > cumulative else { return nil }
    return ForwardTSN(isInterleaved: isInterleaved, cumulativeTSN: UInt32(truncatingIfNeeded: tsn), skipped: skipped)
  }
}

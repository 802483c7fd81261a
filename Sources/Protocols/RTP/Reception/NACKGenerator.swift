package import MartletPrimitives

/// How long and how often lost packets are asked for.
package struct NACKLimits: Sendable {
  /// Packets missing at once; above, waiting for a key frame is cheaper.
  package var missing = 500
  /// A jump of the sequence number beyond this, either way, is a new beginning, not a loss.
  package var gap = 1000
  /// A packet is asked for when the newest is this many numbers ahead of it …
  package var reorderedPackets = 3
  /// … or after this long, whichever is first: until then it may be mere disorder.
  package var reorderingDelay = TimeSpan.milliseconds(10)
  /// Requests for one packet.
  package var tries = 10
  /// What is older is of no use to a live stream.
  package var age = TimeSpan.seconds(1)
  /// The shortest time between requests for one packet, where the round trip is shorter still.
  package var minimumInterval = TimeSpan.milliseconds(20)

  package init() {}
}

/// Notices which packets of a source are missing and says when to ask for them (RFC 4585 §6.2.1). What is hopeless, or older than
/// the newest key frame, is forgotten; hopeless losses of video ask for a key frame instead.
package struct NACKGenerator: Sendable {
  private struct Missing {
    var number: Int64
    var noticed: Instant
    var next: Instant
    var tries = 0
  }

  /// Until it is measured, that of a slow path.
  package var roundTrip = TimeSpan.milliseconds(100)
  /// Packets asked for that came in the end, and packets given up.
  package private(set) var recovered: UInt64 = 0
  package private(set) var abandoned: UInt64 = 0

  private let limits: NACKLimits
  private var highest: Int64?
  /// By number, ascending; bounded by `limits.missing`.
  private var missing: [Missing] = []
  private var newestKeyFrame = Int64.min
  /// What would follow a packet that jumped back.
  private var suspect: Int64?
  private var wantsKeyFrame = false

  package init(limits: NACKLimits = NACKLimits()) { self.limits = limits }

  package var missingCount: Int { missing.count }

  /// A packet came, in its own stream or restored from RTX.
  ///
  /// - Parameter startsKeyFrame: nothing before this packet is needed any more.
  package mutating func receive(_ sequenceNumber: UInt16, startsKeyFrame: Bool = false, now: Instant) {
    let number = extended(sequenceNumber)
    if let highest, number <= highest {
      guard highest - number <= Int64(limits.gap) else { return restart(at: number) }
      found(number)
    } else {
      advance(to: number, now)
    }
    if startsKeyFrame, number > newestKeyFrame { forgetBefore(number) }
  }

  /// Whether a packet that is sent again is of use: peers also send again what has come, to try what a path carries.
  package func isMissing(_ sequenceNumber: UInt16) -> Bool {
    let number = extended(sequenceNumber)
    guard let highest, number <= highest else { return true }
    return missing.contains { $0.number == number }
  }

  /// When `poll` has something to say.
  package var deadline: Instant? { missing.lazy.map(\.next).min() }

  /// Appends the sequence numbers to ask for now, in sending order.
  package mutating func poll(now: Instant, into lost: inout [UInt16]) {
    abandonHopeless(now)
    let interval = max(roundTrip, limits.minimumInterval)
    for index in missing.indices where missing[index].next <= now {
      lost.append(UInt16(truncatingIfNeeded: missing[index].number))
      missing[index].tries += 1
      missing[index].next = now + interval
    }
  }

  /// Whether losses have been given up since the last call, so that only a key frame helps. To be asked after `receive` and `poll`.
  package mutating func pollKeyFrameRequest() -> Bool {
    defer { wantsKeyFrame = false }
    return wantsKeyFrame
  }

  // MARK: Bookkeeping

  private func extended(_ sequenceNumber: UInt16) -> Int64 {
    guard let highest else { return Int64(sequenceNumber) }
    return highest + Int64(Int16(bitPattern: sequenceNumber &- UInt16(truncatingIfNeeded: highest)))
  }

  private mutating func found(_ number: Int64) {
    var (low, high) = (0, missing.count)
    while low < high {
      let middle = (low + high) / 2
      if missing[middle].number < number { low = middle + 1 } else { high = middle }
    }
    guard low < missing.count, missing[low].number == number else { return }
    if missing[low].tries > 0 { recovered += 1 }
    missing.remove(at: low)
  }

  /// The source has begun anew when the next packet follows the one that jumped back (as in RFC 3550 A.1).
  private mutating func restart(at number: Int64) {
    guard suspect == number else {
      suspect = number + 1
      return
    }
    suspect = nil
    highest = number
    newestKeyFrame = .min
    giveUp()
  }

  private mutating func advance(to number: Int64, _ now: Instant) {
    defer { highest = number }
    guard let highest else { return }
    let gap = Int(number - highest - 1)
    guard gap <= limits.gap else { return giveUp() }
    if gap > 0 {
      guard missing.count + gap <= limits.missing else { return giveUp() }
      for lost in highest + 1..<number { missing.append(Missing(number: lost, noticed: now, next: now + limits.reorderingDelay)) }
    }
    for index in missing.indices.reversed() where number - missing[index].number >= Int64(limits.reorderedPackets) {
      // Older ones have been made due before.
      guard missing[index].tries == 0, missing[index].next > now else { break }
      missing[index].next = now
    }
  }

  private mutating func forgetBefore(_ number: Int64) {
    newestKeyFrame = number
    missing.removeAll { $0.number < number }
    wantsKeyFrame = false
  }

  private mutating func abandonHopeless(_ now: Instant) {
    let before = missing.count
    missing.removeAll { $0.next <= now && ($0.tries >= limits.tries || now - $0.noticed > limits.age) }
    guard missing.count < before else { return }
    abandoned += UInt64(before - missing.count)
    wantsKeyFrame = true
  }

  private mutating func giveUp() {
    abandoned += UInt64(missing.count)
    missing.removeAll(keepingCapacity: true)
    wantsKeyFrame = true
  }
}

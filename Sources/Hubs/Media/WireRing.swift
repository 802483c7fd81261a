internal import MartletCodecs
package import MartletIO
package import MartletPrimitives

/// One stream in one wire format on one worker: the recent units, from which any number of viewers read.
///
/// A viewer is a cursor, not a queue. The ring keeps the units since the last join point (the GOP cache) and what slower
/// viewers still need, within a bound in bytes; a viewer that falls out of it goes on at the newest join point.
package final class WireRing {
  package struct Limits: Sendable {
    /// Bytes kept for viewers that lag and viewers that join. Default 16 MiB.
    package var bytes = 16 << 20
    /// Units between two join points before the cache is given up until the next one. Default 4,096.
    package var units = 4096
    /// Keep the units since the last join point for viewers that come later.
    package var cachesGOP = true
    /// A viewer whose connection took nothing for this long while bytes waited is closed.
    package var stuck = TimeSpan.seconds(15)
    package init() {}
  }

  package enum Latency: Equatable, Sendable {
    /// Every unit leaves at the end of the turn in which it came.
    case lowest
    /// Audio waits for the next video frame, so that both leave in one write. The default.
    case frame
    /// Everything waits until this span has gathered.
    case gathered(TimeSpan)
  }

  package let path: StreamPath
  package let format: WireFormat
  package let limits: Limits
  package let latency: Latency
  private let context: LoopContext

  private var units = Deque<WireUnit>()
  private var storedBytes = 0
  /// The sequence number of `units[0]`.
  package private(set) var base = 0
  /// Where a viewer begins, if there is a place.
  package private(set) var joinPoint: Int?
  package private(set) var opening = Slice()
  package private(set) var configuration = Slice()
  /// Changes with the configuration.
  package private(set) var generation = 0
  package private(set) var isLive = false
  /// The format cannot carry the stream as it is: whoever comes now hears of it at once.
  private var refusal: WireFormatError?
  private var hasVideo = false
  private var isFlushScheduled = false
  private var holdTimer: SlabID?

  package private(set) var readers: [RingReader] = []
  /// Called when the first reader came or the last one left.
  package var occupancyChanged: ((WireRing) -> Void)?

  package init(path: StreamPath, format: WireFormat, limits: Limits, latency: Latency, in context: LoopContext) {
    self.path = path
    self.format = format
    self.limits = limits
    self.latency = latency
    self.context = context
  }

  package var head: Int { base + units.count }

  package func unit(at sequence: Int) -> WireUnit { units[sequence - base] }

  // MARK: Filling

  /// New decoder configuration: everything before is unusable for a viewer that joins now.
  package func configure(opening: Slice, configuration: Slice, hasVideo: Bool) {
    self.opening = opening
    self.configuration = configuration
    self.hasVideo = hasVideo
    generation += 1
    joinPoint = nil
    refusal = nil
    guard !isLive else { return }
    isLive = true
    for reader in readers { reader.streamDidBegin() }
  }

  package func append(_ unit: WireUnit) {
    guard !unit.bytes.isEmpty else { return }
    let sequence = head
    units.append(unit)
    storedBytes += unit.bytes.count
    if unit.isJoinPoint {
      joinPoint = sequence
    } else if !limits.cachesGOP, unit.kind == .video {
      joinPoint = nil
    }
    trim()
    scheduleFlush(after: unit)
  }

  /// The publisher is gone for good: viewers finish what is there and hear of it.
  package func end(_ reason: EndReason) {
    isLive = false
    joinPoint = nil
    if case .unsupported(let error) = reason { refusal = error } else { refusal = nil }
    flush()
    for reader in readers { reader.streamDidEnd(reason) }
  }

  private func trim() {
    if let join = joinPoint, head - join > limits.units { joinPoint = nil }
    let keep = joinPoint ?? head
    while let first = units.first, base < keep {
      // Two join points' worth lets a viewer with a short hiccup catch up without a skip.
      guard isOverfull || isStale(first) else { break }
      units.popFirst()
      storedBytes -= first.bytes.count
      base += 1
    }
    while isOverfull, let first = units.popFirst() {
      storedBytes -= first.bytes.count
      base += 1
    }
    if let join = joinPoint, join < base { joinPoint = nil }
  }

  /// The count matters too: units of a few bytes cost more to keep than to hold.
  private var isOverfull: Bool { storedBytes > limits.bytes || units.count > 4 * limits.units }

  /// Older than any live viewer should be.
  private func isStale(_ unit: WireUnit) -> Bool {
    guard let newest = units.last else { return true }
    return newest.time - unit.time > 10_000 || newest.time < unit.time
  }

  // MARK: Reading

  package func add(_ reader: RingReader) {
    reader.place = readers.count
    readers.append(reader)
    if readers.count == 1 { occupancyChanged?(self) }
    if isLive { reader.streamDidBegin() } else if let refusal { reader.streamDidEnd(.unsupported(refusal)) }
  }

  package func remove(_ reader: RingReader) {
    guard let place = reader.place, let last = readers.popLast() else { return }
    reader.place = nil
    if last !== reader {
      readers[place] = last
      last.place = place
    }
    if readers.isEmpty { occupancyChanged?(self) }
  }

  /// Closes viewers that stopped reading. Called about once a second.
  package func sweep(now: Instant) {
    for reader in readers where reader.isStuck(now: now, limit: limits.stuck) { reader.kick(.stuck) }
  }

  // MARK: When viewers are written to

  private func scheduleFlush(after unit: WireUnit) {
    switch latency {
    case .lowest: flushAtEndOfTurn()
    case .frame where unit.kind == .video || !hasVideo: flushAtEndOfTurn()
    // Video that stalls must not hold the sound: two frames at 30/s.
    case .frame: hold(for: .milliseconds(66))
    case .gathered(let span): hold(for: span)
    }
  }

  private func flushAtEndOfTurn() {
    guard !isFlushScheduled else { return }
    isFlushScheduled = true
    context.atEndOfTurn { [weak self] in self?.flush() }
  }

  private func hold(for span: TimeSpan) {
    guard holdTimer == nil, !isFlushScheduled else { return }
    holdTimer = context.schedule(after: span) { [weak self] in self?.flush() }
  }

  private func flush() {
    isFlushScheduled = false
    if let timer = holdTimer {
      context.cancel(timer)
      holdTimer = nil
    }
    for reader in readers { reader.sink?.setNeedsFlush() }
  }
}

/// Why a viewer's stream ended.
package enum EndReason: Sendable {
  case unpublished
  /// The stream's tracks changed into something the format cannot carry.
  case unsupported(WireFormatError)
}

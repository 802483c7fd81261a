package import MartletPrimitives

/// A viewer's own timestamps: they go on at the pace of the clock where the source that is forwarded changes.
package struct TimestampRewriter: Sendable {
  /// What a source's timestamps are increased by.
  private struct Shift {
    var source: UInt32
    var offset: UInt32
  }

  /// Of the media clock, in Hz.
  package let clockRate: UInt32
  private var present: Shift
  /// For late packets and retransmissions of the source before.
  private var former: Shift?
  private var last: (outgoing: UInt32, sent: Instant)?

  /// - Parameters:
  ///   - source: whose packets are forwarded first, by the name that the `SequenceRewriter` knows it by.
  ///   - offset: what its timestamps are increased by.
  package init(clockRate: UInt32, source: UInt32, offset: UInt32 = 0) {
    self.clockRate = clockRate
    present = Shift(source: source, offset: offset)
  }

  /// The outgoing timestamp of a packet of the present source or the one before; `nil` of any other.
  package mutating func forward(_ timestamp: UInt32, of source: UInt32, now: Instant) -> UInt32? {
    guard let outgoing = rewritten(timestamp, of: source) else { return nil }
    // Late packets do not turn the clock back.
    if source == present.source, last.map({ Int32(bitPattern: outgoing &- $0.outgoing) > 0 }) ?? true { last = (outgoing, now) }
    return outgoing
  }

  /// The same for a retransmission, by which no time passes.
  package func rewritten(_ timestamp: UInt32, of source: UInt32) -> UInt32? {
    if source == present.source { return timestamp &+ present.offset }
    guard let former, former.source == source else { return nil }
    return timestamp &+ former.offset
  }

  /// Another source is forwarded from now on; `timestamp` is that of its first packet.
  ///
  /// - Parameter clocks: those of the present and the new source, when both have sent a report: then the change is exact. Without
  ///   them as much media time is taken to have passed as real time.
  package mutating func change(
    to source: UInt32, timestamp: UInt32, clocks: (old: MediaClock, new: MediaClock)? = nil, now: Instant
  ) {
    guard let last else {
      present.source = source
      return
    }
    let passed = UInt32(truncatingIfNeeded: max(1, MediaClock.units(now - last.sent, clockRate)))
    var outgoing = last.outgoing &+ passed
    if let clocks {
      let exact = clocks.old.timestamp(at: clocks.new.ntp(at: timestamp)) &+ present.offset
      // A new frame never has the timestamp of an old one; a clock that is far off is not believed.
      let step = Int32(bitPattern: exact &- last.outgoing)
      if step > 0, Int64(step) < Int64(clockRate) * Self.believed { outgoing = exact }
    }
    former = present
    present = Shift(source: source, offset: outgoing &- timestamp)
  }

  /// The largest step between two sources' clocks, in seconds: more is a wrong clock, not a pause.
  private static let believed: Int64 = 10

  /// A clock of the present source as the viewer sees it, for its sender reports.
  package func rewritten(_ clock: MediaClock) -> MediaClock {
    MediaClock(ntp: clock.ntp, timestamp: clock.timestamp &+ present.offset, rate: clock.rate)
  }
}

package import MartletPrimitives

/// A viewer's own timestamps: they go on at the pace of the clock where the source that is forwarded changes.
package struct TimestampRewriter: Sendable {
  /// Of the media clock, in Hz.
  package let clockRate: UInt32
  /// What an incoming timestamp is increased by.
  private var offset: UInt32
  private var last: (outgoing: UInt32, sent: Instant)?

  /// - Parameter offset: what the first source's timestamps are increased by.
  package init(clockRate: UInt32, offset: UInt32 = 0) {
    self.clockRate = clockRate
    self.offset = offset
  }

  /// The outgoing timestamp of a packet of the present source.
  package mutating func forward(_ timestamp: UInt32, now: Instant) -> UInt32 {
    let outgoing = timestamp &+ offset
    // Late packets do not turn the clock back.
    if let last, Int32(bitPattern: outgoing &- last.outgoing) <= 0 { return outgoing }
    last = (outgoing, now)
    return outgoing
  }

  /// The source changes; `timestamp` is that of the new source's first packet.
  ///
  /// - Parameter clocks: the clocks of the former and the new source, when both have sent a report: then the change is exact.
  ///   Without them as much media time is taken to have passed as real time.
  package mutating func change(to timestamp: UInt32, clocks: (old: MediaClock, new: MediaClock)? = nil, now: Instant) {
    guard let last else { return }
    let passed = UInt32(truncatingIfNeeded: max(1, MediaClock.units(now - last.sent, clockRate)))
    var outgoing = last.outgoing &+ passed
    if let clocks {
      let exact = clocks.old.timestamp(at: clocks.new.ntp(at: timestamp)) &+ offset
      // A new frame never has the timestamp of an old one; a clock that is far off is not believed.
      let step = Int32(bitPattern: exact &- last.outgoing)
      if step > 0, Int64(step) < Int64(clockRate) * 10 { outgoing = exact }
    }
    offset = outgoing &- timestamp
  }

  /// The outgoing form of a timestamp of the present source, sent before.
  package func rewritten(_ timestamp: UInt32) -> UInt32 { timestamp &+ offset }

  /// A clock of the present source as the viewer sees it, for its sender reports.
  package func rewritten(_ clock: MediaClock) -> MediaClock {
    MediaClock(ntp: clock.ntp, timestamp: clock.timestamp &+ offset, rate: clock.rate)
  }
}

package import MartletPrimitives

/// What a sender has sent of one source, for its sender reports (RFC 3550 §6.4.1).
package struct SenderStatistics: Sendable {
  package let ssrc: UInt32
  /// Of the media clock, in Hz.
  package let clockRate: UInt32
  package private(set) var packets: UInt32 = 0
  package private(set) var bytes: UInt32 = 0
  private var last: (timestamp: UInt32, sent: Instant)?

  /// Of the last packet.
  package var lastTimestamp: UInt32? { last?.timestamp }

  package init(ssrc: UInt32, clockRate: UInt32) {
    self.ssrc = ssrc
    self.clockRate = clockRate
  }

  /// - Parameter payloadBytes: without header and padding.
  package mutating func sent(timestamp: UInt32, payloadBytes: Int, now: Instant) {
    packets &+= 1
    bytes &+= UInt32(truncatingIfNeeded: payloadBytes)
    last = (timestamp, now)
  }

  /// A report in which the media clock is read off the last packet: for a stream made here. `nil` before the first packet.
  ///
  /// - Parameter ntp: the wall-clock time of `now`.
  package func report(ntp: NTPTime, now: Instant) -> SenderReport? {
    guard let last else { return nil }
    let elapsed = MediaClock.units(now - last.sent, clockRate)
    return report(ntp: ntp, timestamp: last.timestamp &+ UInt32(truncatingIfNeeded: elapsed))
  }

  /// A report in which the media clock is the publisher's, for a stream that is forwarded: `clock` is that of its last sender
  /// report, with its timestamp rewritten as this viewer's are. So lip sync survives the forwarding.
  package func report(ntp: NTPTime, clock: MediaClock) -> SenderReport? {
    last == nil ? nil : report(ntp: ntp, timestamp: clock.timestamp(at: ntp))
  }

  private func report(ntp: NTPTime, timestamp: UInt32) -> SenderReport {
    SenderReport(ssrc: ssrc, ntp: ntp, timestamp: timestamp, packets: packets, bytes: bytes)
  }
}

package import MartletPrimitives

/// What a receiver reports about one source (RFC 3550 §6.4.1, A.1, A.3, A.8). Recovered packets are not told to it when they come
/// in a stream of their own (RTX), so that the loss it reports is that of the path.
package struct ReceptionStatistics: Sendable {
  package let ssrc: UInt32
  /// Of the media clock, in Hz.
  package let clockRate: UInt32
  package private(set) var packets: UInt64 = 0
  package private(set) var bytes: UInt64 = 0
  /// Between the last two reports, in 1/256.
  package private(set) var fractionLost: UInt8 = 0

  private var range: SequenceRange?
  /// In 1/16 timestamp units, as A.8 keeps it without floating point.
  private var scaledJitter: Int64 = 0
  private var lastTransit: UInt32?
  private var lastTimestamp: UInt32?
  private var lastReport: (middle: UInt32, arrival: Instant)?
  private var expectedAtReport: Int64 = 0
  private var receivedAtReport: Int64 = 0

  package init(ssrc: UInt32, clockRate: UInt32) {
    self.ssrc = ssrc
    self.clockRate = clockRate
  }

  /// - Parameter bytes: of payload.
  package mutating func receive(_ header: RTPHeader, bytes: Int, now: Instant) {
    packets &+= 1
    self.bytes &+= UInt64(max(0, bytes))
    guard var range else {
      range = SequenceRange(first: header.sequenceNumber)
      observe(header.timestamp, now)
      return
    }
    switch range.receive(header.sequenceNumber) {
    case .advanced:
      // The first packet of each frame: those behind it have the same timestamp and are late by their place in the burst.
      if header.timestamp != lastTimestamp { observe(header.timestamp, now) }
    case .restarted:
      (expectedAtReport, receivedAtReport) = (0, 0)
      lastTransit = nil
      observe(header.timestamp, now)
    case .late, .implausible: break
    }
    self.range = range
  }

  package mutating func receive(_ report: SenderReport, now: Instant) { lastReport = (report.ntp.middle, now) }

  /// In timestamp units.
  package var jitter: UInt32 { UInt32(clamping: scaledJitter >> 4) }

  /// Since the source began: negative when duplicates outnumber losses.
  package var lost: Int64 { range.map { $0.expected - $0.received } ?? 0 }

  /// What to report now; `nil` before the first packet. The fraction lost counts from the previous call.
  package mutating func reportBlock(now: Instant) -> ReportBlock? {
    guard let range else { return nil }
    let expected = range.expected - expectedAtReport
    let lost = expected - (range.received - receivedAtReport)
    (expectedAtReport, receivedAtReport) = (range.expected, range.received)
    fractionLost = expected > 0 && lost > 0 ? UInt8(clamping: lost * 256 / expected) : 0
    var block = ReportBlock(ssrc: ssrc)
    block.fractionLost = fractionLost
    // A.3: clamped, not wrapped, to 24 bits.
    block.cumulativeLost = Int32(max(-0x80_0000, min(0x7F_FFFF, self.lost)))
    block.extendedHighest = UInt32(truncatingIfNeeded: range.highest)
    block.jitter = jitter
    if let lastReport {
      block.lastSenderReport = lastReport.middle
      block.delaySinceLastSenderReport = NTPTime.units(now - lastReport.arrival)
    }
    return block
  }

  /// A.8.
  private mutating func observe(_ timestamp: UInt32, _ now: Instant) {
    let transit = MediaClock.units(now, clockRate) &- timestamp
    if let lastTransit {
      let difference = Int64(Int32(bitPattern: transit &- lastTransit).magnitude)
      scaledJitter += difference - (scaledJitter + 8) >> 4
    }
    lastTransit = transit
    lastTimestamp = timestamp
  }
}

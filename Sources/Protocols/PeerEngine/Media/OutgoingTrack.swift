package import MartletPrimitives
package import MartletRTP

/// What one peer is sent of one track: its own numbers, clock and statistics, in a few words. The packets themselves are shared.
package struct OutgoingTrack: Sendable {
  package struct Parameters: Sendable {
    package var mid: String
    package var ssrc: UInt32
    package var payloadType: UInt8
    /// Retransmissions in a stream of their own (RFC 4588); without, lost packets are sent again as they were.
    package var rtx: (ssrc: UInt32, payloadType: UInt8)?
    /// FlexFEC, in a stream of its own too.
    package var fec: (ssrc: UInt32, payloadType: UInt8)?
    package var clockRate: UInt32
    package var cname: String
    /// Of the extension that the peer measures the path by; 0 for none.
    package var stampID: UInt8
    /// The peer asks for packets that it lost.
    package var hasNACK: Bool

    package init(
      mid: String, ssrc: UInt32, payloadType: UInt8, rtx: (ssrc: UInt32, payloadType: UInt8)? = nil,
      fec: (ssrc: UInt32, payloadType: UInt8)? = nil, clockRate: UInt32, cname: String, stampID: UInt8 = 0, hasNACK: Bool = false
    ) {
      self.mid = mid
      self.ssrc = ssrc
      self.payloadType = payloadType
      self.rtx = rtx
      self.fec = fec
      self.clockRate = clockRate
      self.cname = cname
      self.stampID = stampID
      self.hasNACK = hasNACK
    }

    /// What is sent again has to be what it was, stamp included, where it is sent again under its own number.
    package var repeatsStamps: Bool { hasNACK && rtx == nil && stampID != 0 }
  }

  package private(set) var parameters: Parameters
  package private(set) var statistics: SenderStatistics
  private var sequence: SequenceRewriter
  private var timestamps: TimestampRewriter
  private var source: UInt32
  /// What the peer reported last.
  package private(set) var lastReport: ReportBlock?
  package private(set) var roundTrip: TimeSpan?
  package private(set) var retransmitted: UInt64 = 0
  package internal(set) var repair: OutgoingRepair?
  /// Key frames that the peer asked for.
  package internal(set) var keyFrameRequests: UInt64 = 0
  private var nextRetransmission: UInt16
  /// By sequence number, of a track whose parameters say `repeatsStamps`.
  private var stamps: [(number: UInt16, stamp: PathStamp)?] = []
  private static let keptStamps = 1024

  /// - Parameter source: names what is forwarded at first, a layer for instance.
  package init(_ parameters: Parameters, source: UInt32 = 0, random: inout RandomSource) {
    self.parameters = parameters
    self.source = source
    statistics = SenderStatistics(ssrc: parameters.ssrc, clockRate: parameters.clockRate)
    // RFC 3711 §3.3.1: below 2¹⁵, so that no early loss looks like a roll-over.
    sequence = SequenceRewriter(first: UInt16.random(in: 0..<32768, using: &random), source: source)
    timestamps = TimestampRewriter(
      clockRate: parameters.clockRate, source: source, offset: UInt32.random(in: 0...UInt32.max, using: &random))
    nextRetransmission = UInt16.random(in: 0..<32768, using: &random)
    repair = parameters.fec.map { OutgoingRepair($0, media: parameters.ssrc, random: &random) }
  }

  /// The header of a packet as this peer gets it; `nil` when it must not be sent.
  ///
  /// - Parameters:
  ///   - source: where the packet is from. A change of it is a change of layer or publisher: numbers and time go on.
  ///   - clocks: of the source before and of this one, for a change that is exact.
  package mutating func forward(
    sequenceNumber: UInt16, timestamp: UInt32, marker: Bool, payloadBytes: Int, source: UInt32,
    clocks: (old: MediaClock, new: MediaClock)? = nil, now: Instant
  ) -> RTPHeaderFields? {
    if source != self.source {
      self.source = source
      sequence.change(to: source)
      timestamps.change(to: source, timestamp: timestamp, clocks: clocks, now: now)
    }
    guard let number = sequence.forward(sequenceNumber, of: source),
      let time = timestamps.forward(timestamp, of: source, now: now)
    else { return nil }
    statistics.sent(timestamp: time, payloadBytes: payloadBytes, now: now)
    return fields(parameters.payloadType, number, time, parameters.ssrc, marker: marker)
  }

  private func fields(_ type: UInt8, _ number: UInt16, _ time: UInt32, _ ssrc: UInt32, marker: Bool) -> RTPHeaderFields {
    var fields = RTPHeaderFields(payloadType: type, sequenceNumber: number, timestamp: time, ssrc: ssrc, marker: marker)
    fields.stampID = parameters.stampID
    return fields
  }

  /// Keeps what packet `number` was stamped with, where it may be needed again.
  mutating func keep(_ stamp: PathStamp, of number: UInt16) {
    guard parameters.repeatsStamps else { return }
    if stamps.isEmpty { stamps = Array(repeating: nil, count: Self.keptStamps) }
    stamps[Int(number) % Self.keptStamps] = (number, stamp)
  }

  func stamp(of number: UInt16) -> PathStamp? {
    guard !stamps.isEmpty, let kept = stamps[Int(number) % Self.keptStamps], kept.number == number else { return nil }
    return kept.stamp
  }

  /// A packet of the source is not sent to this peer; those behind it close ranks.
  package mutating func leaveOut(sequenceNumber: UInt16, source: UInt32) { sequence.leaveOut(sequenceNumber, of: source) }

  /// Which packet of which source the peer misses.
  package func origin(of lost: UInt16) -> SequenceRewriter.Origin? { sequence.origin(of: lost) }

  /// The header of a packet that is sent again, in the retransmission stream if there is one, else as it was; `nil` when its source
  /// has not been forwarded for long.
  package mutating func retransmit(
    _ outgoing: UInt16, timestamp: UInt32, marker: Bool, source: UInt32
  ) -> RTPHeaderFields? {
    guard let time = timestamps.rewritten(timestamp, of: source) else { return nil }
    retransmitted += 1
    guard let rtx = parameters.rtx else { return fields(parameters.payloadType, outgoing, time, parameters.ssrc, marker: marker) }
    defer { nextRetransmission &+= 1 }
    return fields(rtx.payloadType, nextRetransmission, time, rtx.ssrc, marker: marker)
  }

  /// The header of a packet that has nothing but padding, in the retransmission stream, where it makes no gap in the media (RFC 4588);
  /// `nil` without one, and before there was media.
  package mutating func pad() -> RTPHeaderFields? {
    guard let rtx = parameters.rtx, let time = statistics.lastTimestamp else { return nil }
    defer { nextRetransmission &+= 1 }
    var padding = fields(rtx.payloadType, nextRetransmission, time, rtx.ssrc, marker: false)
    padding.hasPadding = true
    return padding
  }

  /// Other packets come from now on: a codec among those that were negotiated. Numbers and time go on.
  package mutating func change(payloadType: UInt8, rtxPayloadType: UInt8?, clockRate: UInt32) {
    parameters.payloadType = payloadType
    if let rtxPayloadType, let rtx = parameters.rtx { parameters.rtx = (rtx.ssrc, rtxPayloadType) }
    guard clockRate != parameters.clockRate else { return }
    parameters.clockRate = clockRate
    timestamps = TimestampRewriter(clockRate: clockRate, source: source)
    statistics = SenderStatistics(ssrc: parameters.ssrc, clockRate: clockRate)
  }

  /// - Parameter now: on the wall clock that our sender reports tell.
  package mutating func receive(_ report: ReportBlock, now: NTPTime) {
    guard report.ssrc == parameters.ssrc else { return }
    lastReport = report
    repair?.receive(report)
    if let trip = report.roundTrip(now: now) { roundTrip = trip }
  }

  /// - Parameter clock: the publisher's (its last sender report); without, the clock is that of what was sent.
  package func senderReport(ntp: NTPTime, clock: MediaClock?, now: Instant) -> SenderReport? {
    guard let clock else { return statistics.report(ntp: ntp, now: now) }
    return statistics.report(ntp: ntp, clock: timestamps.rewritten(clock))
  }
}

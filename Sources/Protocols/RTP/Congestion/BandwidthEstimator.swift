internal import MartletPrimitives

/// What a path carries, from what became of the packets sent over it: bounded by the delay and by loss
/// (draft-ietf-rmcat-gcc-02), or by what the peer says.
struct BandwidthEstimator: Sendable {
  private let limits: CongestionLimits
  private var groups = PacketGroups()
  private var trend = DelayTrend()
  private var detector = OveruseDetector()
  private var queue = StandingQueue()
  private var acknowledged = AcknowledgedBitrate()
  private var delay: RateControl
  private var loss = LossControl()
  private var told: Double?
  private var isKnown = false
  private(set) var roundTrip = TimeSpan.milliseconds(200)

  init(_ limits: CongestionLimits) {
    self.limits = limits
    delay = RateControl(limits)
  }

  var reduced: Instant? { delay.reduced }

  // MARK: Feedback on every packet

  mutating func receive(_ results: [TransportFeedbackReader.Result], now: Instant) {
    var newest: Instant?
    for result in results {
      guard let arrival = result.arrival else { continue }
      newest = max(newest ?? result.sent, result.sent)
      acknowledged.add(bytes: result.bytes, at: arrival)
      guard let step = groups.add(sent: result.sent, arrival: arrival) else { continue }
      trend.add(step)
      detector.update(trend: trend.value, step)
    }
    guard let newest else { return }
    isKnown = true
    roundTrip = max(.zero, now - newest)
    loss.add(packets: results.count, lost: results.count { $0.arrival == nil })
    delay.update(detector.usage, acknowledged, roundTrip: roundTrip, now: now)
    if queue.add(roundTrip, now: now) { delay.drain(acknowledged, now: now) }
    loss.update(rate: delay.rate, arriving: acknowledged.recent ?? 0, limits, now: now)
  }

  /// A probe's result. It may show more than is known; less only at first, when nothing is.
  mutating func found(_ rate: Double, isFirst: Bool, now: Instant) {
    guard detector.usage != .over, isFirst || rate > delay.rate else { return }
    isKnown = true
    delay.found(rate, now: now)
  }

  /// Packets are under way and the peer is silent.
  mutating func fade() { if isKnown { delay.fade() } }

  // MARK: Reports

  /// REMB.
  mutating func receive(limit: UInt64) { told = limits.bounded(Double(limit)) }

  /// Of a receiver report.
  mutating func receive(packets: Int, lost: Int, sending rate: Double, now: Instant) {
    loss.add(packets: packets, lost: lost)
    loss.update(rate: min(told ?? rate, rate), arriving: 0, limits, now: now)
  }

  // MARK: The estimate

  /// `nil` when nothing says how much the path carries.
  func estimate(_ mode: CongestionMode) -> BandwidthEstimate? {
    switch mode {
    case .transportFeedback:
      guard isKnown else { return BandwidthEstimate(bitsPerSecond: limits.start, reason: .start) }
      return lower(BandwidthEstimate(bitsPerSecond: Int(delay.rate), reason: .delay))
    case .reports:
      if let told { return lower(BandwidthEstimate(bitsPerSecond: Int(told), reason: .remb)) }
      return loss.bound.map { BandwidthEstimate(bitsPerSecond: Int($0), reason: .loss) }
    }
  }

  private func lower(_ estimate: BandwidthEstimate) -> BandwidthEstimate {
    guard let bound = loss.bound, bound < Double(estimate.bitsPerSecond) else { return estimate }
    return BandwidthEstimate(bitsPerSecond: Int(bound), reason: .loss)
  }
}

/// How a peer tells what its end of the path takes.
package enum CongestionMode: Sendable {
  /// Of every packet (transport-cc).
  case transportFeedback
  /// By REMB, if at all, and in receiver reports.
  case reports
}

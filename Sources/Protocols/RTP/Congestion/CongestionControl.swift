package import MartletPrimitives

/// How much a peer is sent: numbers packets for its feedback, estimates what the path carries, says when pictures may leave and when
/// padding has to, to find out more.
///
///     may a packet of a picture leave? ── isOpen ──▶ write it, sent(…)      it must wait ──▶ come back at `opening`
///     RTCP ──▶ receive(…) ──▶ estimate
///
/// A class, since it is asked several times a packet: read in place inside another's state, a structure of this size is copied.
package final class CongestionControl {
  // What every packet asks for comes first, side by side.
  package let mode: CongestionMode
  /// Nothing that is known forbids a packet.
  private var isUnlimited = true
  private var demand = DemandMeter()
  private let limits: CongestionLimits
  private var packets: TransportFeedbackReader
  private var estimator: BandwidthEstimator
  private var pacer = Pacer()
  private var probes: ProbeSchedule
  private var probeResults = ProbeResults()
  private var results: [TransportFeedbackReader.Result] = []
  /// The first packet whose fate nobody told, since the last feedback.
  private var unanswered: Instant?
  /// By source: what the last report had.
  private var reported: [(ssrc: UInt32, highest: UInt32)] = []

  /// Of the start: what is sent before the first feedback is a probe too.
  private static let startMultiple = 6.0
  /// After this the peer's silence counts.
  private static let patience = TimeSpan.seconds(1)
  /// Sources whose reports are kept.
  private static let mostSources = 64

  package init(_ mode: CongestionMode, limits: CongestionLimits = CongestionLimits()) {
    self.mode = mode
    self.limits = limits
    packets = TransportFeedbackReader()
    estimator = BandwidthEstimator(limits)
    probes = ProbeSchedule(limits)
  }

  /// `nil` where nothing says how much the path carries.
  package var estimate: BandwidthEstimate? { estimator.estimate(mode) }

  // MARK: Sending

  /// Whether a packet of a picture may leave now.
  package func isOpen(_ now: Instant) -> Bool { isUnlimited || pacer.isOpen(now) }

  /// Whether one that the peer has lost may be sent again now.
  package func isOpenForRepair(_ now: Instant) -> Bool { isUnlimited || pacer.isOpenForRepair(now) }

  /// When to ask again.
  package var opening: Instant { pacer.opening }

  /// A packet that leaves now, of a section whose packets are numbered.
  ///
  /// - Parameter bytes: of the datagram.
  /// - Returns: its number, where the peer's feedback is on every packet.
  package func sent(bytes: Int, now: Instant) -> UInt16 {
    demand.add(bytes, now)
    return account(bytes, now)
  }

  /// One that is not numbered, of which the peer will not tell.
  package func sentUnnumbered(bytes: Int, now: Instant) {
    demand.add(bytes, now)
    if !isUnlimited { pacer.sent(bytes: bytes, now: now) }
  }

  /// A packet that has nothing but padding.
  package func padded(bytes: Int, now: Instant) -> UInt16 { account(bytes, now) }

  private func account(_ bytes: Int, _ now: Instant) -> UInt16 {
    if isUnlimited { settle(now) }
    pacer.sent(bytes: bytes, now: now)
    hearNothing(now)
    return packets.send(bytes: bytes, probe: probe(bytes, now), now: now)
  }

  /// The cluster that a packet belongs to; 0 for none.
  private func probe(_ bytes: Int, _ now: Instant) -> UInt16 {
    guard let cluster = probes.active else { return 0 }
    probeResults.begin(cluster)
    let id = probes.sent(bytes: bytes, now: now)
    // One that has just begun, the next one, or none: another rate.
    if cluster.began == nil || probes.active?.id != id { settle(now) }
    return id
  }

  /// A packet that was left out, since it would have come too late: the stream wants more than it gets.
  package func leftOut(bytes: Int, now: Instant) { demand.add(bytes, now) }

  private func hearNothing(_ now: Instant) {
    guard let since = unanswered else { return unanswered = now }
    guard now - since > Self.patience else { return }
    unanswered = now
    estimator.fade()
    settle(now)
  }

  // MARK: Probing

  /// Bytes of padding that a probe lacks now.
  package func padding(_ now: Instant) -> Int { probes.shortage(now) }

  /// Whether a probe is under way, for which to come back in some milliseconds.
  package func isProbing(_ now: Instant) -> Bool { probes.isUnderWay(now) }

  // MARK: What the peer says

  package func receive(_ feedback: TransportFeedback, now: Instant) {
    guard mode == .transportFeedback else { return }
    results.removeAll(keepingCapacity: true)
    packets.receive(feedback, into: &results)
    guard !results.isEmpty else { return }
    unanswered = nil
    for result in results where result.probe != 0 {
      guard let arrival = result.arrival else { continue }
      probeResults.add(result.probe, sent: result.sent, arrival: arrival, bytes: result.bytes)
    }
    estimator.receive(results, now: now)
    while let found = probeResults.poll() {
      estimator.found(found.rate, isFirst: ProbeSchedule.isFirst(found.id), now: now)
      probes.found(found.rate, asked: found.asked, wanted: demand.rate)
    }
    if let estimate { probes.look(estimate: Double(estimate.bitsPerSecond), wanted: demand.rate, reduced: estimator.reduced, now: now) }
    settle(now)
  }

  /// REMB, which counts where there is no better feedback.
  package func receive(bitrateLimit: UInt64, now: Instant) {
    guard mode == .reports else { return }
    estimator.receive(limit: bitrateLimit)
    settle(now)
  }

  /// Of a receiver report; `block.ssrc` is of ours.
  package func receive(_ block: ReportBlock, now: Instant) {
    guard mode == .reports else { return }
    defer { note(block) }
    guard let last = reported.first(where: { $0.ssrc == block.ssrc })?.highest else { return }
    let packets = Int(Int32(bitPattern: block.extendedHighest &- last))
    guard packets > 0 else { return }
    let lost = packets * Int(block.fractionLost) / 256
    estimator.receive(packets: packets, lost: lost, sending: demand.rate, now: now)
    settle(now)
  }

  private func note(_ block: ReportBlock) {
    if let index = reported.firstIndex(where: { $0.ssrc == block.ssrc }) {
      reported[index].highest = block.extendedHighest
    } else if reported.count < Self.mostSources {
      reported.append((block.ssrc, block.extendedHighest))
    }
  }

  /// The pacer goes by the estimate, and at least as fast as a probe.
  private func settle(_ now: Instant) {
    guard let estimate else { return }
    isUnlimited = false
    let rate = Double(estimate.bitsPerSecond)
    let isStart = estimate.reason == .start
    let peak = max(probes.active?.rate ?? 0, isStart ? rate * Self.startMultiple : 0)
    pacer.setRate(rate, peak: peak, limitsAverage: !isStart, isProbing: isProbing(now), now: now)
  }
}

/// What a stream wants to send, in bits a second: of the last whole second.
private struct DemandMeter: Sendable {
  private(set) var rate = 0.0
  private var bytes = 0
  private var began: Instant?

  private static let window = TimeSpan.seconds(1)

  mutating func add(_ count: Int, _ now: Instant) {
    let since = began ?? now
    began = since
    if now - since >= Self.window {
      rate = Double(bytes) * 8 / (now - since).seconds
      (began, bytes) = (now, 0)
    }
    bytes += count
  }
}

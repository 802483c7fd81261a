internal import MartletPrimitives

/// How much may be in flight (RFC 9260 §7.2), with two departures for paths that lose packets without being full, as radio does:
///
/// - A loss does not always halve the window. It goes down to what the path was seen to deliver in its shortest round trip (as TCP
///   Westwood+ does), and never below half. Where a queue has built up that drains it; where none has, the loss was none of ours.
/// - In congestion avoidance the window grows by an eighth in a round trip, at least two packets, while round trips show no queue;
///   by one packet when they do.
///
/// With RFC 9260 alone 1 % of loss at 100 ms holds an association to 1.1 Mbit/s whatever the path can do; so it comes to 16 Mbit/s
/// within 20 s. At a bottleneck of 10 Mbit/s with 125 kB of queue one packet in 27,000 is lost, with 30 kB one in fifty.
struct CongestionWindow {
  private(set) var bytes: Int
  private(set) var threshold = Int.max
  /// Acknowledged since the window grew last.
  private var acknowledged = 0
  /// The last TSN sent when a loss was seen: until it is acknowledged there is no further reduction.
  private(set) var recoveryEnd: Int64?
  private var delivery = DeliveryRate()
  private let packet: Int
  private let initial: Int

  init(packetBytes: Int, initialPackets: Int) {
    packet = packetBytes
    initial = packetBytes * max(1, initialPackets)
    bytes = initial
  }

  var isRecovering: Bool { recoveryEnd != nil }

  /// - Parameters:
  ///   - count: bytes acknowledged for the first time.
  ///   - wasLimited: the window, and not a lack of data, has held the sender up (RFC 9260 §7.2.1).
  mutating func acknowledge(
    _ count: Int, cumulative: Int64, lastSent: Int64, wasLimited: Bool, _ timeout: RetransmissionTimeout, now: Instant
  ) {
    delivery.acknowledge(count, cumulative: cumulative, lastSent: lastSent, now: now)
    if let end = recoveryEnd, cumulative >= end { recoveryEnd = nil }
    // On a path that loses one packet in a hundred, a window of more than that is always recovering: it may grow as long as it does
    // not fill a queue.
    guard wasLimited, count > 0, recoveryEnd == nil || timeout.seesNoQueue else { return }
    if bytes < threshold {
      // All that was acknowledged counts, as in RFC 9002 §7.3.1: a receiver that takes packets in batches answers each with one SACK.
      bytes = bytes &+ count
      if !timeout.seesNoQueue, bytes >= initial { threshold = bytes }
    } else {
      acknowledged += count
      let step = timeout.seesNoQueue && recoveryEnd == nil ? max(2 * packet, bytes / 8) : packet
      // In parts, so that the window does not jump once a round trip.
      let growth = step * min(acknowledged, bytes) / bytes
      guard growth >= packet / 8 else { return }
      acknowledged = 0
      bytes = bytes &+ growth
    }
  }

  mutating func lose(lastSent: Int64, _ timeout: RetransmissionTimeout) {
    guard recoveryEnd == nil else { return }
    recoveryEnd = lastSent
    let delivered = timeout.shortest.map { delivery.bytes(in: $0) } ?? 0
    threshold = max(bytes / 2, min(bytes, delivered), 4 * packet)
    bytes = min(bytes, threshold)
    acknowledged = 0
  }

  /// RFC 9260 §7.2.3.
  mutating func timeOut() {
    threshold = max(bytes / 2, 4 * packet)
    bytes = packet
    acknowledged = 0
    recoveryEnd = nil
  }

  /// RFC 9260 §7.2.1: what was learned goes stale while nothing is sent.
  mutating func rest(_ idle: TimeSpan, _ timeout: TimeSpan) {
    var rounds = min(idle.nanoseconds / max(1, timeout.nanoseconds), 32)
    while rounds > 0, bytes > initial {
      bytes = max(bytes / 2, initial)
      rounds -= 1
    }
  }
}

/// The most bytes that were acknowledged per second in one of the last rounds.
private struct DeliveryRate {
  private var roundEnd: Int64?
  private var roundStart = Instant.zero
  private var roundBytes = 0
  /// Bytes per second, the latest round last.
  private var rates = (0.0, 0.0, 0.0, 0.0)

  mutating func acknowledge(_ count: Int, cumulative: Int64, lastSent: Int64, now: Instant) {
    roundBytes = roundBytes &+ count
    guard cumulative >= roundEnd ?? .min else { return }
    let span = (now - roundStart).seconds
    if roundEnd != nil, span > 0.0001 { rates = (rates.1, rates.2, rates.3, Double(roundBytes) / span) }
    (roundEnd, roundStart, roundBytes) = (lastSent, now, 0)
  }

  func bytes(in span: TimeSpan) -> Int {
    Int(clamping: Int64(clamping: max(max(rates.0, rates.1), max(rates.2, rates.3)) * span.seconds))
  }
}

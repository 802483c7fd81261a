internal import MartletPrimitives

/// The timers of an association (RFC 9260 §16, RFC 6525 §5.1.1); one that does not run lies in the distant future.
struct AssociationTimers {
  /// T1-init and T1-cookie, which never run together.
  var handshake = Instant.distantFuture
  /// T2-shutdown.
  var shutdown = Instant.distantFuture
  /// T3-rtx.
  var retransmission = Instant.distantFuture
  var sack = Instant.distantFuture
  var heartbeat = Instant.distantFuture
  var reset = Instant.distantFuture

  var next: Instant? {
    let earliest = min(min(handshake, shutdown), min(retransmission, sack), min(heartbeat, reset))
    return earliest == .distantFuture ? nil : earliest
  }

  mutating func stopAll() { self = AssociationTimers() }
}

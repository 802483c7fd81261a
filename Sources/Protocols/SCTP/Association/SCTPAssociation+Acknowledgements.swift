internal import MartletPrimitives

/// SACKs that come in, and what is found to be lost (RFC 9260 §6.2.1, §7.2.4; RFC 3758 §3.5).
extension SCTPAssociation {
  mutating func receiveSack(_ body: RawSpan, now: Instant) throws(ParseError) {
    switch state {
    case .closed, .cookieWait, .cookieEchoed, .shutdownAckSent, .ended: return drop(.unexpectedChunk(type: ChunkType.selectiveAck))
    case .established, .shutdownPending, .shutdownSent, .shutdownReceived: break
    }
    let sack = try SelectiveAck(parsing: body)
    let tsn = SerialNumber.extend(sack.cumulativeTSN, near: outstanding.cumulative)
    // One that was overtaken tells nothing new.
    guard tsn >= outstanding.cumulative else { return }
    guard tsn <= outstanding.lastTSN else { return drop(.outOfSequence) }
    process(tsn, sack.gaps, window: sack.window, now: now)
  }

  /// - Parameter window: `nil` when SHUTDOWN tells only the TSN.
  mutating func process(_ tsn: Int64, _ gaps: [SelectiveAck.GapBlock], window: UInt32?, now: Instant) {
    let result = outstanding.acknowledge(tsn, gaps: gaps, shortest: timeout.shortest, now: now)
    // The peer lives, even when its window is shut (RFC 9260 §6.1 A).
    failures = 0
    heartbeatSentAt = nil
    restHeartbeat(now)
    if let sent = result.sampleSentAt { timeout.measure(now - sent, now: now) } else if result.movedCumulative { timeout.restore() }
    congestion.acknowledge(
      result.bytes, cumulative: outstanding.cumulative, lastSent: outstanding.lastTSN, wasLimited: isWindowLimited, timeout, now: now)
    if outstanding.detectLosses() { recover(now) }
    if let window { update(window: window) }
    abandonExhausted(now)
    if outstanding.hasAbandoned { mustForward = true }
    rearm(restart: result.movedCumulative, now)
    continueShutdown(now: now)
  }

  private mutating func recover(_ now: Instant) {
    mayExceedWindow = !congestion.isRecovering
    congestion.lose(lastSent: outstanding.lastTSN, timeout)
  }

  private mutating func update(window: UInt32) {
    peer.window = max(0, Int(window) - outstanding.flightPayload)
    guard isProbing, window > 0 else { return }
    // What was sent into a shut window was thrown away; the timer that would find out has been backed off.
    isProbing = false
    timeout.restore()
    outstanding.markAllLost()
    peer.window = Int(window)
  }

  /// T3 runs while anything waits (RFC 9260 §6.3.2).
  mutating func rearm(restart: Bool, _ now: Instant) {
    guard outstanding.needsTimer, state != .cookieEchoed else { return timers.retransmission = .distantFuture }
    if restart || timers.retransmission == .distantFuture { timers.retransmission = now + timeout.value }
  }

  /// RFC 9260 §6.3.3.
  mutating func retransmissionTimeout(now: Instant) {
    counters.timeouts += 1
    guard countFailure() else { return }
    // Neither a shut window nor a FORWARD TSN that was lost says that the path is full.
    if !isProbing, outstanding.flightBytes > 0 { congestion.timeOut() }
    timeout.backOff()
    outstanding.markAllLost()
    abandonExhausted(now)
    if outstanding.hasAbandoned { mustForward = true }
    mayExceedWindow = true
    timers.retransmission = now + timeout.value
  }

  /// RFC 9260 §8.1.
  /// - Returns: false when it was one too many.
  mutating func countFailure() -> Bool {
    failures += 1
    guard failures > configuration.maximumRetransmissions else { return true }
    fail(.unreachable, cause: nil)
    return false
  }

  // MARK: Giving up

  /// Gives up the messages of lost chunks that may not be sent again.
  mutating func abandonExhausted(_ now: Instant) {
    guard extensions.contains(.partialReliability) else { return }
    while let chunk = outstanding.exhaustedMessage(now: now) {
      let endsHere = outstanding.abandon(chunk.message)
      counters.messagesAbandoned += 1
      mustForward = true
      if !endsHere, let rest = streams.dropRest(of: chunk) { outstanding.appendAbandoned(rest) }
    }
  }
}

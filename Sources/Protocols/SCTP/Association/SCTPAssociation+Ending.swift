package import MartletPrimitives

/// SHUTDOWN and ABORT (RFC 9260 §9), errors, and time.
extension SCTPAssociation {
  /// Sends what waits, then ends the association with the peer's consent.
  package mutating func shutdown(now: Instant) {
    switch state {
    case .closed, .cookieWait, .cookieEchoed: abort()
    case .established:
      state = .shutdownPending
      continueShutdown(now: now)
    case .shutdownPending, .shutdownSent, .shutdownReceived, .shutdownAckSent, .ended: break
    }
  }

  /// Ends the association at once; the output holds an ABORT.
  package mutating func abort() {
    fail(.aborted, cause: ErrorCause(ErrorCause.Code.userInitiatedAbort))
  }

  /// Ends the association for something the peer did.
  mutating func fail(_ reason: SCTPEndReason, cause: ErrorCause?) {
    guard state != .ended else { return }
    control = ControlQueue(maximum: configuration.limits.replies)
    if peer.isKnown { control.append(alone: ErrorCause.chunk(ChunkType.abort, cause.map { [$0] } ?? []), tag: peer.tag) }
    finish(reason)
  }

  mutating func fail(_ reason: SCTPEndReason) {
    let code =
      switch reason {
      case .violation(.noUserData): ErrorCause.Code.noUserData
      case .violation(.outOfMemory): ErrorCause.Code.outOfResource
      default: ErrorCause.Code.protocolViolation
      }
    fail(reason, cause: ErrorCause(code, text: "\(reason)"))
  }

  mutating func finish(_ reason: SCTPEndReason) {
    guard state != .ended else { return }
    state = .ended
    timers.stopAll()
    control.removeBundled()
    streams.removeAll()
    outstanding = OutstandingChunks(firstTSN: localTSN, isInterleaved: false)
    fragments = FragmentStore(limits: configuration.limits)
    incoming = IncomingStreams()
    sack.isDue = false
    mustForward = false
    mustEchoCookie = false
    reset = StreamReset(localTSN: localTSN, peerTSN: 0)
    raise(.ended(reason))
  }

  // MARK: Shutdown (RFC 9260 §9.2)

  /// Moves on when nothing of ours is under way any more.
  mutating func continueShutdown(now: Instant) {
    guard streams.isEmpty, outstanding.isEmpty else { return }
    switch state {
    case .shutdownPending:
      state = .shutdownSent
      attempts = 0
      sendShutdown(now)
    case .shutdownReceived:
      state = .shutdownAckSent
      attempts = 0
      sendShutdown(now)
    case .closed, .cookieWait, .cookieEchoed, .established, .shutdownSent, .shutdownAckSent, .ended: break
    }
  }

  private mutating func sendShutdown(_ now: Instant) {
    if state == .shutdownAckSent {
      control.append(Self.empty(ChunkType.shutdownAck))
    } else {
      var writer = ByteWriter()
      let start = writer.beginBlock()
      writer.u32(UInt32(truncatingIfNeeded: received.cumulative))
      writer.endChunk(ChunkType.shutdown, at: start)
      control.append(writer.bytes)
    }
    timers.heartbeat = .distantFuture
    timers.shutdown = now + timeout.value
  }

  mutating func receiveShutdown(_ body: RawSpan, now: Instant) throws(ParseError) {
    var reader = ByteReader(body)
    let raw = try reader.u32()
    switch state {
    case .established, .shutdownPending, .shutdownReceived:
      let tsn = SerialNumber.extend(raw, near: outstanding.cumulative)
      guard tsn <= outstanding.lastTSN else { return drop(.outOfSequence) }
      state = .shutdownReceived
      if tsn >= outstanding.cumulative { process(tsn, [], window: nil, now: now) } else { continueShutdown(now: now) }
    case .shutdownSent:
      // Both sides began.
      state = .shutdownAckSent
      attempts = 0
      sendShutdown(now)
    case .closed, .cookieWait, .cookieEchoed, .shutdownAckSent, .ended: return drop(.unexpectedChunk(type: ChunkType.shutdown))
    }
  }

  mutating func receiveShutdownAck() {
    guard state == .shutdownSent || state == .shutdownAckSent else { return }
    control.append(alone: Self.empty(ChunkType.shutdownComplete), tag: peer.tag)
    finish(.shutdown)
  }

  private mutating func shutdownTimeout(now: Instant) {
    attempts += 1
    guard attempts <= configuration.maximumRetransmissions else { return fail(.unreachable, cause: nil) }
    timeout.backOff()
    sendShutdown(now)
  }

  // MARK: Errors

  mutating func receiveAbort(_ body: RawSpan) {
    let cause = (try? ErrorCause.parse(body))?.first
    finish(.abortedByPeer(code: cause?.code ?? 0, reason: cause.map { String(decoding: $0.info, as: UTF8.self) } ?? ""))
  }

  mutating func receiveError(_ body: RawSpan, now: Instant) {
    for cause in (try? ErrorCause.parse(body)) ?? [] where cause.code == ErrorCause.Code.staleCookie { receiveStaleCookie(now: now) }
  }

  // MARK: Time

  /// Does what is due; the driver calls it at `deadline`.
  package mutating func timeout(now: Instant) {
    guard state != .ended else { return }
    if isDue(\.handshake, now) { handshakeTimeout(now: now) }
    if isDue(\.shutdown, now) { shutdownTimeout(now: now) }
    if isDue(\.retransmission, now) { retransmissionTimeout(now: now) }
    if isDue(\.sack, now) { sack.isDue = true }
    if isDue(\.reset, now) { resetTimeout(now: now) }
    if isDue(\.heartbeat, now) { heartbeatTimeout(now: now) }
  }

  /// Whether a timer has run out; it is stopped then.
  private mutating func isDue(_ timer: WritableKeyPath<AssociationTimers, Instant>, _ now: Instant) -> Bool {
    guard timers[keyPath: timer] <= now else { return false }
    timers[keyPath: timer] = .distantFuture
    return true
  }

  /// RFC 9260 §8.3: the path is quiet; a heartbeat that is not answered counts as a failure.
  private mutating func heartbeatTimeout(now: Instant) {
    if heartbeatSentAt != nil {
      guard countFailure() else { return }
      timeout.backOff()
    }
    sendHeartbeat(now: now)
    timers.heartbeat = now + timeout.value
  }
}

package import MartletPrimitives

/// The four-way handshake (RFC 9260 §5).
extension SCTPAssociation {
  /// Begins the handshake. Both sides may (RFC 9260 §5.2.1).
  package mutating func start(now: Instant) {
    guard state == .closed else { return }
    state = .cookieWait
    attempts = 0
    sendInit(now)
  }

  private mutating func sendInit(_ now: Instant) {
    var writer = ByteWriter()
    // RFC 9260 §3.2.1 has unknown parameters passed over; some peers drop the chunk instead.
    let extensions =
      attempts < Self.attemptsWithAllExtensions ? configuration.extensions : configuration.extensions.subtracting(.zeroChecksum)
    let parameters = InitParameters(extensions: extensions)
    ourInit(tag: localTag, tsn: localTSN, parameters: parameters).write(into: &writer, isAck: false)
    control.append(alone: writer.bytes, tag: 0, needsChecksum: true)
    timers.handshake = now + handshakeWait
  }

  private static let attemptsWithAllExtensions = 2

  /// RFC 9260 §4, T1: twice as long after each attempt.
  private var handshakeWait: TimeSpan { min(configuration.initialRTO * (1 << min(attempts, 16)), configuration.maximumRTO) }

  private func ourInit(tag: UInt32, tsn: UInt32, parameters: InitParameters) -> InitChunk {
    InitChunk(
      tag: tag, window: window, outgoingStreams: max(1, configuration.outgoingStreams),
      incomingStreams: max(1, configuration.incomingStreams), initialTSN: tsn, parameters: parameters)
  }

  // MARK: The side that is asked

  /// RFC 9260 §5.1 B, §5.2.1, §5.2.2: answers without keeping anything.
  mutating func receiveInit(_ body: RawSpan, now: Instant) throws(ParseError) {
    let initiation = try InitChunk(parsing: body, limits: configuration.limits)
    if state == .shutdownAckSent { return control.append(Self.empty(ChunkType.shutdownAck)) }
    // While our own INIT is under way the same tag and TSN are used; a living association gives new ones, which only a restart takes up.
    let isLiving = state != .closed && state != .cookieWait && state != .cookieEchoed
    let isFresh = state == .closed || isLiving
    let tag = isFresh ? UInt32.random(in: 1...UInt32.max, using: &random) : localTag
    let cookie = StateCookie(
      createdAt: now, localTag: tag, localTSN: localTSN, peerTag: initiation.tag, peerTSN: initiation.initialTSN,
      peerWindow: initiation.window, peerOutgoingStreams: initiation.outgoingStreams, peerIncomingStreams: initiation.incomingStreams,
      peerExtensions: initiation.parameters.extensions, tieLocal: isLiving ? localTag : 0, tiePeer: isLiving ? peer.tag : 0)
    // A checksum of zero is for peers that know of it (RFC 9653 §5.1).
    let known = initiation.parameters.extensions.contains(.zeroChecksum)
    let parameters = InitParameters(
      extensions: known ? configuration.extensions : configuration.extensions.subtracting(.zeroChecksum), cookie: cookie.sealed(cookieKey),
      unrecognized: initiation.parameters.unrecognized)
    var writer = ByteWriter()
    ourInit(tag: tag, tsn: localTSN, parameters: parameters).write(into: &writer, isAck: true)
    control.append(alone: writer.bytes, tag: initiation.tag, needsChecksum: true)
  }

  /// RFC 9260 §5.1.5, §5.2.4.
  mutating func receiveCookieEcho(_ body: RawSpan, tag: UInt32, now: Instant) {
    guard let cookie = StateCookie(opening: body, cookieKey), cookie.localTag == tag else { return drop(.wrongCookie) }
    if state == .closed {
      guard !isStale(cookie, now) else { return sendStaleCookie(cookie, now) }
      localTag = cookie.localTag
      return establish(cookie, now)
    }
    switch (cookie.localTag == localTag, cookie.peerTag == peer.tag) {
    // Case D: a cookie echoed twice, or the end of a simultaneous opening.
    case (true, true):
      if state == .cookieEchoed { return establish(cookie, now) }
      control.append(Self.empty(ChunkType.cookieAck))
    // Case B: both sides opened at once.
    case (true, false):
      guard state == .cookieWait || state == .cookieEchoed else { return drop(.wrongCookie) }
      guard !isStale(cookie, now) else { return sendStaleCookie(cookie, now) }
      establish(cookie, now)
    // Case A: a restart.
    case (false, _) where cookie.tieLocal == localTag && cookie.tiePeer == peer.tag && peer.isKnown:
      peer.tag = cookie.peerTag
      fail(.restarted, cause: ErrorCause(ErrorCause.Code.userInitiatedAbort, text: "an association is not restarted within its connection"))
    // Case C: a cookie that has been overtaken.
    case (false, _): return drop(.wrongCookie)
    }
  }

  private func isStale(_ cookie: StateCookie, _ now: Instant) -> Bool { now - cookie.createdAt > configuration.cookieLifetime }

  /// RFC 9260 §3.3.10.3: by how many microseconds the cookie is too old.
  private mutating func sendStaleCookie(_ cookie: StateCookie, _ now: Instant) {
    var writer = ByteWriter()
    writer.u32(UInt32(clamping: (now - cookie.createdAt - configuration.cookieLifetime).nanoseconds / 1000))
    let chunk = ErrorCause.chunk(ChunkType.error, [ErrorCause(ErrorCause.Code.staleCookie, info: writer.bytes)])
    control.append(alone: chunk, tag: cookie.peerTag)
  }

  private mutating func establish(_ cookie: StateCookie, _ now: Instant) {
    meet(
      tag: cookie.peerTag, tsn: cookie.peerTSN, window: cookie.peerWindow, incoming: cookie.peerIncomingStreams,
      outgoing: cookie.peerOutgoingStreams, extensions: cookie.peerExtensions)
    control.append(Self.empty(ChunkType.cookieAck))
    // What went with our own COOKIE ECHO may have gone to a tag that nobody knows.
    outstanding.markAllLost()
    becomeEstablished(now)
  }

  // MARK: The side that asks

  /// RFC 9260 §5.1 C.
  mutating func receiveInitAck(_ body: RawSpan, now: Instant) throws(ParseError) {
    guard state == .cookieWait else { return drop(.unexpectedChunk(type: ChunkType.initiationAck)) }
    let answer = try InitChunk(parsing: body, limits: configuration.limits)
    guard !answer.parameters.cookie.isEmpty else { throw .invalid("an INIT ACK without a cookie", at: 0) }
    meet(
      tag: answer.tag, tsn: answer.initialTSN, window: answer.window, incoming: answer.incomingStreams,
      outgoing: answer.outgoingStreams, extensions: answer.parameters.extensions)
    cookieToEcho = answer.parameters.cookie
    mustEchoCookie = true
    state = .cookieEchoed
    attempts = 0
    timers.handshake = now + handshakeWait
  }

  mutating func receiveCookieAck(now: Instant) {
    guard state == .cookieEchoed else { return drop(.unexpectedChunk(type: ChunkType.cookieAck)) }
    becomeEstablished(now)
  }

  private mutating func meet(tag: UInt32, tsn: UInt32, window: UInt32, incoming: UInt16, outgoing: UInt16, extensions: SCTPExtensions) {
    peer = PeerDescription(
      tag: tag, window: Int(window), incomingStreams: incoming, outgoingStreams: outgoing, extensions: extensions)
    received = ReceivedTSNs(initialTSN: tsn, limits: configuration.limits)
    let isInterleaved = self.extensions.contains(.interleaving)
    streams.isInterleaved = isInterleaved
    streams.mayAbandonParts = self.extensions.contains(.partialReliability)
    if outgoingStreamCount < configuration.outgoingStreams { streams.drop(from: outgoingStreamCount) }
    if outstanding.isEmpty { outstanding = OutstandingChunks(firstTSN: localTSN, isInterleaved: isInterleaved) }
    reset = StreamReset(localTSN: localTSN, peerTSN: tsn, waiting: reset.waiting)
  }

  private mutating func becomeEstablished(_ now: Instant) {
    state = .established
    timers.handshake = .distantFuture
    cookieToEcho = []
    mustEchoCookie = false
    failures = 0
    if outstanding.needsTimer { timers.retransmission = now + timeout.value }
    restHeartbeat(now)
    raise(.connected)
    giveUpResets()
  }

  // MARK: Time

  mutating func handshakeTimeout(now: Instant) {
    guard attempts < configuration.maximumInitRetransmissions else { return finish(.handshakeTimeout) }
    attempts += 1
    guard state == .cookieEchoed else { return sendInit(now) }
    outstanding.markAllLost()
    mustEchoCookie = true
    timers.handshake = now + handshakeWait
  }

  /// RFC 9260 §5.2.6: the handshake begins again.
  mutating func receiveStaleCookie(now: Instant) {
    guard state == .cookieEchoed else { return }
    state = .cookieWait
    peer = PeerDescription()
    mustEchoCookie = false
    outstanding.markAllLost()
    sendInit(now)
  }

  static func empty(_ type: UInt8, flags: UInt8 = 0) -> [UInt8] {
    var writer = ByteWriter()
    writer.emptyChunk(type, flags: flags)
    return writer.bytes
  }
}

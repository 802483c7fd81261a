package import MartletPrimitives

/// Packets that come in (RFC 9260 §8.5, §6.10).
extension SCTPAssociation {
  /// Takes one packet, which is one DTLS record. One that is not acceptable is dropped and counted in `statistics`.
  package mutating func receive(_ packet: RawSpan, now: Instant) {
    guard state != .ended else { return answerLate(packet) }
    counters.packetsReceived += 1
    do throws(ParseError) {
      try accept(packet, now: now)
    } catch {
      drop(.malformed(error))
    }
    endOfPacket(now: now)
  }

  /// RFC 9260 §8.4: a peer whose SHUTDOWN ACK comes again did not get our SHUTDOWN COMPLETE.
  private mutating func answerLate(_ packet: RawSpan) {
    var reader = ByteReader(packet)
    guard let header = try? PacketHeader(parsing: &reader), header.tag == localTag, reader.peek() == ChunkType.shutdownAck else { return }
    control.append(alone: Self.empty(ChunkType.shutdownComplete), tag: peer.tag)
  }

  mutating func drop(_ error: SCTPError) {
    counters.packetsDropped += 1
    counters.lastDrop = error
  }

  private mutating func accept(_ packet: RawSpan, now: Instant) throws(ParseError) {
    var reader = ByteReader(packet)
    let header = try PacketHeader(parsing: &reader)
    guard header.source == configuration.remotePort, header.destination == configuration.localPort else {
      return drop(.wrongPorts(source: header.source, destination: header.destination))
    }
    guard let first = reader.peek() else { throw .truncated(at: PacketHeader.byteCount, needed: 4) }
    // RFC 9653 §5.3: no checksum is needed where that was offered, but for the chunks of which an association is made.
    let mayLackChecksum = configuration.extensions.contains(.zeroChecksum) && first != ChunkType.initiation && first != ChunkType.cookieEcho
    guard header.checksum == 0 && mayLackChecksum || header.checksum == CRC32c.checksum(ofPacket: packet) else {
      return drop(.wrongChecksum)
    }
    sack.packetHasData = false
    while !reader.isAtEnd, state != .ended {
      let isFirst = reader.offset == PacketHeader.byteCount
      let chunk = try ChunkHeader(parsing: &reader)
      let body = try reader.bytes(chunk.bodyBytes)
      try reader.skip(min(chunk.padding, reader.remaining))
      if let error = objection(to: chunk, header.tag, isAlone: isFirst && reader.isAtEnd) { return drop(error) }
      guard try take(chunk, body, tag: header.tag, now: now) else { return }
    }
  }

  /// RFC 9260 §8.5.1: why a chunk may not be in a packet with this tag.
  private func objection(to chunk: ChunkHeader, _ tag: UInt32, isAlone: Bool) -> SCTPError? {
    switch chunk.type {
    case ChunkType.initiation:
      guard isAlone else { return .unexpectedChunk(type: chunk.type) }
      return tag == 0 ? nil : .wrongTag
    // The T bit: the sender did not know our tag, and reflects its own.
    case ChunkType.abort where chunk.flags & 1 == 1, ChunkType.shutdownComplete where chunk.flags & 1 == 1:
      return peer.isKnown && tag == peer.tag ? nil : .wrongTag
    // Its tag stands in the cookie.
    case ChunkType.cookieEcho: return nil
    default: return state != .closed && tag == localTag ? nil : .wrongTag
    }
  }

  /// - Returns: false when the rest of the packet is not to be read.
  private mutating func take(_ chunk: ChunkHeader, _ body: RawSpan, tag: UInt32, now: Instant) throws(ParseError) -> Bool {
    switch chunk.type {
    case ChunkType.data, ChunkType.interleavedData: try receiveData(chunk, body, now: now)
    case ChunkType.selectiveAck: try receiveSack(body, now: now)
    case ChunkType.forwardTSN, ChunkType.interleavedForwardTSN: try receiveForward(chunk, body)
    case ChunkType.initiation: try receiveInit(body, now: now)
    case ChunkType.initiationAck: try receiveInitAck(body, now: now)
    case ChunkType.cookieEcho: receiveCookieEcho(body, tag: tag, now: now)
    case ChunkType.cookieAck: receiveCookieAck(now: now)
    case ChunkType.heartbeat: echoHeartbeat(body)
    case ChunkType.heartbeatAck: try receiveHeartbeatAck(body, now: now)
    case ChunkType.reconfiguration: try receiveReconfiguration(body, now: now)
    case ChunkType.abort: receiveAbort(body)
    case ChunkType.error: receiveError(body, now: now)
    case ChunkType.shutdown: try receiveShutdown(body, now: now)
    case ChunkType.shutdownAck: receiveShutdownAck()
    case ChunkType.shutdownComplete: if state == .shutdownAckSent { finish(.shutdown) }
    default: return passOver(chunk, body)
    }
    return true
  }

  /// RFC 9260 §3.2: a chunk of a type that is not known.
  private mutating func passOver(_ chunk: ChunkHeader, _ body: RawSpan) -> Bool {
    if chunk.isReportedWhenUnknown, peer.isKnown {
      var writer = ByteWriter()
      let start = writer.beginBlock()
      writer.append(body.extracting(0..<min(body.byteCount, configuration.limits.reportedBytes)))
      writer.endChunk(chunk.type, flags: chunk.flags, at: start)
      control.append(ErrorCause.chunk(ChunkType.error, [ErrorCause(ErrorCause.Code.unrecognizedChunk, info: writer.bytes)]))
    }
    return !chunk.stopsWhenUnknown
  }

  // MARK: Heartbeats (RFC 9260 §8.3)

  private mutating func echoHeartbeat(_ body: RawSpan) {
    guard peer.isKnown, body.byteCount <= configuration.packetBytes - 64 else { return }
    var writer = ByteWriter()
    let start = writer.beginBlock()
    writer.append(body)
    writer.endChunk(ChunkType.heartbeatAck, at: start)
    control.append(writer.bytes)
  }

  private mutating func receiveHeartbeatAck(_ body: RawSpan, now: Instant) throws(ParseError) {
    guard let sent = heartbeatSentAt else { return drop(.outOfSequence) }
    var reader = ByteReader(body)
    let info = (try reader.u32(), try reader.u64())
    guard info.0 == Self.heartbeatInfo, info.1 == UInt64(bitPattern: sent.nanoseconds) else { return drop(.outOfSequence) }
    heartbeatSentAt = nil
    failures = 0
    timeout.measure(now - sent, now: now)
    restHeartbeat(now)
  }

  /// The only parameter of a HEARTBEAT: its type, and its length with the time in it.
  private static let heartbeatInfo: UInt32 = 1 << 16 | 12

  mutating func sendHeartbeat(now: Instant) {
    var writer = ByteWriter()
    let start = writer.beginBlock()
    writer.u32(Self.heartbeatInfo)
    writer.u64(UInt64(bitPattern: now.nanoseconds))
    writer.endChunk(ChunkType.heartbeat, at: start)
    control.append(writer.bytes)
    heartbeatSentAt = now
  }

  /// Somebody was heard: no heartbeat is needed for a while.
  mutating func restHeartbeat(_ now: Instant) {
    timers.heartbeat = isLiving ? now + configuration.heartbeatInterval : .distantFuture
  }

  private var isLiving: Bool {
    switch state {
    case .established, .shutdownPending, .shutdownReceived: true
    case .closed, .cookieWait, .cookieEchoed, .shutdownSent, .shutdownAckSent, .ended: false
    }
  }
}

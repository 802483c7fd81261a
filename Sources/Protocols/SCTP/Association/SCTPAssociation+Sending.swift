package import MartletPrimitives

/// Messages to be sent, and the packets that carry them (RFC 9260 §6.1, §6.9, §6.10).
extension SCTPAssociation {
  /// Queues a message, before the handshake too.
  /// - Parameter isCounted: its bytes belong to `bufferedBytes(of:)`.
  package mutating func send(
    _ payload: Slice, on stream: UInt16, protocolID: UInt32, _ reliability: SCTPReliability = .reliable, isCounted: Bool = true,
    now: Instant
  ) throws(SCTPError) {
    switch state {
    case .closed, .cookieWait, .cookieEchoed, .established: break
    case .shutdownPending, .shutdownSent, .shutdownReceived, .shutdownAckSent, .ended: throw .closed
    }
    guard !payload.isEmpty else { throw .emptyMessage }
    guard stream < outgoingStreamCount else { throw .noSuchStream(stream, maximum: outgoingStreamCount) }
    guard streams[stream]?.isClosing != true else { throw .streamClosing(stream) }
    let limit = configuration.limits.sendBuffer
    guard payload.count <= limit - streams.bufferedBytes else { throw .bufferFull(maximum: limit) }
    counters.messagesSent += 1
    streams.append(
      OutgoingMessage(
        payload: payload, protocolID: protocolID, isUnordered: reliability.isUnordered, isCounted: isCounted,
        retransmissionLimit: reliability.maximumRetransmissions ?? .max,
        expiresAt: reliability.lifetime.map { now + $0 } ?? .distantFuture), to: stream)
  }

  /// The share of a stream among those that have something to send; 256 unless set (RFC 8831 §6.4).
  package mutating func setWeight(_ weight: UInt16, of stream: UInt16) { streams.update(stream) { $0.weight = max(1, weight) } }

  /// When the bytes waiting on a stream fall to this, `bufferedAmountLow` is raised; without a threshold it never is.
  package mutating func setLowThreshold(_ bytes: Int, of stream: UInt16) { streams.update(stream) { $0.lowThreshold = max(0, bytes) } }

  // MARK: Packets

  /// Appends packets that may be sent now, at most `maximumPackets`; none when there is nothing, or when the windows are full.
  package mutating func takeOutput(into batch: inout DatagramBatch, maximumPackets: Int = 64, now: Instant) {
    guard hasOutput else { return }
    var packet = ByteWriter(capacity: configuration.packetBytes)
    for _ in 0..<maximumPackets {
      guard writePacket(into: &packet, now: now) else { break }
      counters.packetsSent += 1
      batch.append(packet.bytes.span.bytes)
    }
    for stream in streams.takeLow() { raise(.bufferedAmountLow(stream)) }
  }

  /// Something waits; the windows may still forbid it.
  private var hasOutput: Bool {
    !control.isEmpty || sack.isDue || mustEchoCookie || mustForward || outstanding.lostCount > 0 || !streams.isEmpty || reset.isDue
  }

  private mutating func writePacket(into packet: inout ByteWriter, now: Instant) -> Bool {
    packet.removeAll()
    if let lone = control.nextLone() {
      header(lone.tag).write(into: &packet)
      packet.append(lone.chunk)
      seal(&packet, needsChecksum: lone.needsChecksum)
      return true
    }
    guard peer.isKnown, state != .ended else { return false }
    header(peer.tag).write(into: &packet)
    let needsChecksum = mustEchoCookie
    writeControl(into: &packet, now)
    writeData(into: &packet, now)
    if packet.count == PacketHeader.byteCount {
      // What had expired may have been all that a shutdown waited for.
      continueShutdown(now: now)
      writeControl(into: &packet, now)
    }
    guard packet.count > PacketHeader.byteCount else { return false }
    seal(&packet, needsChecksum: needsChecksum)
    return true
  }

  private func header(_ tag: UInt32) -> PacketHeader {
    PacketHeader(source: configuration.localPort, destination: configuration.remotePort, tag: tag)
  }

  /// RFC 9653 §5.2.
  private func seal(_ packet: inout ByteWriter, needsChecksum: Bool) {
    if !needsChecksum, extensions.contains(.zeroChecksum) { return }
    packet.patchU32(CRC32c.checksum(ofPacket: packet.bytes.span.bytes).byteSwapped, at: PacketHeader.checksumOffset)
  }

  /// RFC 9260 §6.10: control chunks come before data.
  private mutating func writeControl(into packet: inout ByteWriter, _ now: Instant) {
    if mustEchoCookie {
      let start = packet.beginBlock()
      packet.append(cookieToEcho)
      packet.endChunk(ChunkType.cookieEcho, at: start)
    }
    while let chunk = control.nextBundled(room: configuration.packetBytes - packet.count) { packet.append(chunk) }
    guard state != .cookieWait, state != .cookieEchoed else { return }
    // A SACK that may wait travels with data that goes anyway.
    if sack.isDue || (sack.packets > 0 && mayWriteData) { writeSack(into: &packet) }
    if mustForward { writeForward(into: &packet) }
    writeReset(into: &packet, now)
  }

  private mutating func writeForward(into packet: inout ByteWriter) {
    let isInterleaved = extensions.contains(.interleaving)
    let room = configuration.packetBytes - packet.count - ForwardTSN.headerBytes
    guard room >= 64 else { return }
    mustForward = false
    outstanding.forward(maximum: room / ForwardTSN.entryBytes(isInterleaved: isInterleaved))?.write(into: &packet)
  }

  // MARK: Data

  private var mayWriteData: Bool {
    switch state {
    case .established, .shutdownPending, .shutdownReceived: break
    // RFC 9260 §5.1 C: data may go along with COOKIE ECHO, in the same packet.
    case .cookieEchoed: guard mustEchoCookie else { return false }
    case .closed, .cookieWait, .shutdownSent, .shutdownAckSent, .ended: return false
    }
    return outstanding.lostCount > 0 || !streams.isEmpty
  }

  private mutating func writeData(into packet: inout ByteWriter, _ now: Instant) {
    defer { mustEchoCookie = false }
    guard mayWriteData else { return isWindowLimited = false }
    let start = packet.count
    if outstanding.flightBytes == 0 { congestion.rest(now - lastDataSent, timeout.value) }
    packetNumber += 1
    var canGoOn = true
    while canGoOn { canGoOn = writeLost(into: &packet, start, now) }
    if outstanding.lostCount == 0 {
      canGoOn = true
      while canGoOn { canGoOn = writeNew(into: &packet, start, now) }
    }
    if packet.count > start { mayExceedWindow = false }
    isWindowLimited = outstanding.flightBytes + configuration.packetBytes > congestion.bytes && mayWriteData
  }

  /// RFC 9260 §6.1 B: the window may be passed by less than a packet.
  private var hasWindow: Bool { outstanding.flightBytes < congestion.bytes || mayExceedWindow }

  private mutating func writeLost(into packet: inout ByteWriter, _ start: Int, _ now: Instant) -> Bool {
    guard let tsn = outstanding.nextLost(), hasWindow || packet.count > start else { return false }
    let chunk = outstanding[tsn]
    let size = headerBytes + (chunk.payload.count + 3) & ~3
    // Behind control chunks it may not fit: the next packet has the room that it was cut for.
    guard packet.count + size <= configuration.packetBytes else { return false }
    outstanding.markResent(tsn, packet: packetNumber, now: now)
    peer.window = max(0, peer.window - chunk.payload.count)
    counters.retransmissions += 1
    // RFC 9260 §7.2.4 item 4: the first chunk has the time of a new one to arrive.
    if tsn == outstanding.cumulative + 1 { timers.retransmission = now + timeout.value }
    // What repairs a loss is acknowledged without delay (RFC 7053).
    write(chunk, tsn, adding: .immediate, into: &packet, now)
    return true
  }

  private mutating func writeNew(into packet: inout ByteWriter, _ start: Int, _ now: Instant) -> Bool {
    guard hasWindow || packet.count > start else { return false }
    let isFirst = packet.count == start
    let room = (configuration.packetBytes - packet.count - headerBytes) & ~3
    // Into a window too small for a packet one chunk goes when nothing else is under way (RFC 9260 §6.1 A); else the window is
    // waited for: crumbs that just fit would be all that ever goes.
    let isSmall = peer.window < room
    let isProbe = isSmall && outstanding.isEmpty
    let allowed = isProbe ? room : min(room, peer.window)
    guard allowed > 0 else { return false }
    let full = (configuration.packetBytes - PacketHeader.byteCount - headerBytes) & ~3
    switch streams.next(room: allowed, full: full, mayCut: isFirst && (isProbe || !isSmall), now: now) {
    case .nothing: return false
    case .abandoned(let rest):
      _ = outstanding.abandon(rest.message)
      outstanding.appendAbandoned(rest)
      mustForward = true
      rearm(restart: false, now)
      return true
    case .fragment(let chunk):
      if isProbe { isProbing = true }
      let tsn = outstanding.append(chunk, packet: packetNumber, now: now)
      peer.window = max(0, peer.window - chunk.payload.count)
      counters.bytesSent += chunk.payload.count
      // The end of a burst: nothing more comes that would make the peer acknowledge it (RFC 7053 §4).
      let isTail = streams.isEmpty && outstanding.flightBytes > 2 * configuration.packetBytes
      write(chunk, tsn, adding: isTail ? .immediate : [], into: &packet, now)
      return true
    }
  }

  private var headerBytes: Int { DataChunk.headerBytes(isInterleaved: streams.isInterleaved) }

  private mutating func write(
    _ chunk: OutgoingChunk, _ tsn: Int64, adding flags: DataChunk.Flags, into packet: inout ByteWriter, _ now: Instant
  ) {
    DataChunk(
      flags: chunk.flags.union(flags), isInterleaved: streams.isInterleaved, tsn: UInt32(truncatingIfNeeded: tsn), stream: chunk.stream,
      messageNumber: chunk.messageNumber, fragmentNumber: chunk.fragmentNumber, protocolID: chunk.protocolID
    ).write(into: &packet, payload: chunk.payload.bytes)
    lastDataSent = now
    rearm(restart: false, now)
  }
}

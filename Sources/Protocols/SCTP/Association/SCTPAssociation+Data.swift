internal import MartletPrimitives

/// Whether and when a SACK is due (RFC 9260 §6.2).
struct SackState {
  /// The packet being read has data that is new, or came twice.
  var packetHasData = false
  /// Packets with data since the last SACK.
  var packets = 0
  /// With the next packet, at once.
  var isDue = false
  /// What the peer was told last.
  var toldWindow = Int.max
}

/// Data that comes in.
extension SCTPAssociation {
  mutating func receiveData(_ header: ChunkHeader, _ body: RawSpan, now: Instant) throws(ParseError) {
    switch state {
    case .established, .shutdownPending, .shutdownSent: break
    // Data that overtook the COOKIE ACK is sent again; after SHUTDOWN none may come.
    default: return drop(.unexpectedChunk(type: header.type))
    }
    var reader = ByteReader(body)
    let chunk = try DataChunk(parsing: &reader, header)
    let payload = reader.rest()
    guard chunk.isInterleaved == extensions.contains(.interleaving) else { return fail(.violation(.wrongDataChunk)) }
    guard payload.byteCount > 0 else { return fail(.violation(.noUserData)) }
    let tsn = SerialNumber.extend(chunk.tsn, near: received.cumulative)
    sack.packetHasData = true
    if chunk.flags.contains(.immediate) { sack.isDue = true }
    switch received.verdict(tsn) {
    case .new: store(chunk, tsn, payload)
    case .duplicate:
      counters.duplicatesReceived += 1
      received.note(duplicate: chunk.tsn)
      sack.isDue = true
    case .tooFar: return drop(.noRoom)
    }
  }

  private mutating func store(_ chunk: DataChunk, _ tsn: Int64, _ payload: RawSpan) {
    let isNext = tsn == received.cumulative + 1
    guard hasRoom(isNext: isNext, isWhole: chunk.flags.isSuperset(of: [.begin, .end])) else {
      sack.isDue = true
      return drop(.noRoom)
    }
    if !isNext || received.hasGaps { sack.isDue = true }
    received.insert(tsn)
    guard chunk.stream < configuration.incomingStreams else { return reject(chunk) }
    guard !incoming.isStale(chunk) else { return }
    do throws(SCTPViolation) {
      if let message = try fragments.insert(chunk, tsn: tsn, payload) { deliver(message) }
    } catch {
      fail(.violation(error))
    }
  }

  /// Beyond the window only the TSN is taken that lets the others move on, and that up to twice the window.
  private mutating func hasRoom(isNext: Bool, isWhole: Bool) -> Bool {
    let buffer = configuration.receiveBuffer
    guard heldBytes >= 2 * buffer else { return (heldBytes < buffer || isNext) && (isWhole || isNext || !fragments.isFull) }
    // Nothing that the driver takes would help when what fills the memory is not complete.
    if fragments.heldBytes + incoming.heldBytes >= buffer + buffer / 2 { fail(.violation(.outOfMemory)) }
    return false
  }

  /// RFC 9260 §6.5: acknowledged, and reported.
  private mutating func reject(_ chunk: DataChunk) {
    let info = [UInt8(chunk.stream >> 8), UInt8(chunk.stream & 255), 0, 0]
    control.append(ErrorCause.chunk(ChunkType.error, [ErrorCause(ErrorCause.Code.invalidStream, info: info)]))
  }

  // MARK: FORWARD TSN (RFC 3758 §3.6, RFC 8260 §2.3.1)

  mutating func receiveForward(_ header: ChunkHeader, _ body: RawSpan) throws(ParseError) {
    let isInterleaved = header.type == ChunkType.interleavedForwardTSN
    guard extensions.contains(.partialReliability), isInterleaved == extensions.contains(.interleaving) else {
      return drop(.unexpectedChunk(type: header.type))
    }
    let forward = try ForwardTSN(parsing: body, isInterleaved: isInterleaved)
    let tsn = SerialNumber.extend(forward.cumulativeTSN, near: received.cumulative)
    sack.isDue = true
    guard tsn > received.cumulative else { return }
    guard tsn - received.cumulative <= Int64(configuration.limits.tsnDistance) else { return drop(.outOfSequence) }
    received.skip(to: tsn)
    if !isInterleaved { fragments.drop(upTo: tsn) }
    for skipped in forward.skipped {
      if isInterleaved { fragments.drop(skipped) }
      skipIncoming(skipped)
    }
  }

  // MARK: SACK

  /// RFC 9260 §6.2: at once for every second packet and while there are gaps, else after a while.
  mutating func endOfPacket(now: Instant) {
    guard state != .ended else { return }
    if !extensions.contains(.interleaving) { fragments.dropOrphans(upTo: received.cumulative) }
    guard sack.packetHasData else { return }
    sack.packetHasData = false
    sack.packets += 1
    if sack.packets >= 2 || state == .shutdownSent { sack.isDue = true }
    if !sack.isDue, timers.sack == .distantFuture { timers.sack = now + configuration.sackDelay }
  }

  /// Tells a peer that was held up that it may go on, once there is room for a few packets.
  mutating func updateWindow() {
    guard state == .established || state == .shutdownPending || state == .shutdownSent else { return }
    guard sack.toldWindow < configuration.receiveBuffer / 4 else { return }
    if Int(window) - sack.toldWindow >= min(configuration.receiveBuffer / 4, 4 * configuration.packetBytes) { sack.isDue = true }
  }

  /// Writes a SACK into what is left of a packet.
  mutating func writeSack(into writer: inout ByteWriter) {
    let room = configuration.packetBytes - writer.count - SelectiveAck.headerBytes
    guard room >= 0 else { return }
    let gaps = received.gapBlocks(maximum: room / 4)
    let duplicates = received.duplicates.prefix(room / 4 - gaps.count)
    let window = window
    SelectiveAck(
      cumulativeTSN: UInt32(truncatingIfNeeded: received.cumulative), window: window, gaps: gaps, duplicates: Array(duplicates)
    ).write(into: &writer)
    received.clearDuplicates()
    sack.toldWindow = Int(window)
    sack.packets = 0
    sack.isDue = false
    timers.sack = .distantFuture
  }
}

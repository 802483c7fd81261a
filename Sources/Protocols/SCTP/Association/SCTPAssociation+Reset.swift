internal import MartletPrimitives

/// Resets of streams (RFC 6525 §5), by which data channels are closed (RFC 8831 §6.7).
extension SCTPAssociation {
  /// Lets what waits on a stream go, takes nothing more for it, and begins it again at number 0 once the peer agrees.
  /// - Returns: false when the peer knows no resets: the stream just ends.
  @discardableResult package mutating func resetOutgoing(_ stream: UInt16) -> Bool {
    guard state != .ended, !peer.isKnown || extensions.contains(.reconfiguration) else { return false }
    streams.update(stream) { $0.isClosing = true }
    if !reset.waiting.contains(stream) { reset.waiting.append(stream) }
    return true
  }

  /// Streams in one request, which must fit into a packet.
  private var maximumStreams: Int { min(256, (configuration.packetBytes - 64) / 2) }

  /// Takes up the streams that have nothing left to send.
  private mutating func beginRequest() {
    guard reset.request == nil, !reset.waiting.isEmpty, state == .established || state == .shutdownPending else { return }
    let idle = reset.waiting.filter { streams[$0]?.messages.isEmpty ?? true }.prefix(maximumStreams)
    guard !idle.isEmpty else { return }
    reset.waiting.removeAll { idle.contains($0) }
    reset.request = StreamReset.Request(
      number: reset.nextNumber, lastTSN: UInt32(truncatingIfNeeded: outstanding.lastTSN), streams: Array(idle))
    reset.nextNumber &+= 1
    reset.mustSend = true
  }

  mutating func writeReset(into packet: inout ByteWriter, _ now: Instant) {
    beginRequest()
    guard reset.mustSend, let request = reset.request else { return }
    var writer = ByteWriter()
    ReconfigurationChunk([
      .outgoing(request: request.number, response: reset.expected &- 1, lastTSN: request.lastTSN, streams: request.streams)
    ]).write(into: &writer)
    guard packet.count + writer.count <= configuration.packetBytes else { return }
    packet.append(writer.bytes)
    reset.mustSend = false
    timers.reset = now + timeout.value
  }

  /// RFC 6525 §5.1.1: asks again. While data is on its way T3 does the counting.
  mutating func resetTimeout(now: Instant) {
    guard reset.request != nil else { return }
    if timers.retransmission == .distantFuture {
      guard countFailure() else { return }
      timeout.backOff()
    }
    reset.mustSend = true
  }

  // MARK: Receiving

  mutating func receiveReconfiguration(_ body: RawSpan, now: Instant) throws(ParseError) {
    guard extensions.contains(.reconfiguration), state != .cookieWait, state != .cookieEchoed else {
      return drop(.unexpectedChunk(type: ChunkType.reconfiguration))
    }
    let chunk = try ReconfigurationChunk(parsing: body)
    for parameter in chunk.parameters {
      switch parameter {
      case .outgoing(let request, _, let last, let streams): if isInTurn(request) { conclude(request, answer(last, streams)) }
      case .other(let request): if isInTurn(request) { conclude(request, ResetParameter.Result.denied) }
      case .response(let request, let result): receiveResponse(request, result, now: now)
      }
    }
  }

  /// RFC 6525 §5.2.1: the last request again gets the last answer again, any other is out of sequence. A request that had to wait
  /// counts as answered: of the peers that ask again some (usrsctp, Pion) do so with the same number, some (dcsctp) with the next.
  private mutating func isInTurn(_ request: UInt32) -> Bool {
    if request == reset.expected { return true }
    let isRepeated = request == reset.expected &- 1
    if isRepeated, reset.lastResult == ResetParameter.Result.inProgress { return true }
    respond(request, isRepeated ? reset.lastResult : ResetParameter.Result.badSequenceNumber)
    return false
  }

  private mutating func conclude(_ request: UInt32, _ result: UInt32) {
    reset.expected = request &+ 1
    reset.lastResult = result
    respond(request, result)
  }

  private mutating func respond(_ request: UInt32, _ result: UInt32) {
    var writer = ByteWriter()
    ReconfigurationChunk([.response(to: request, result: result)]).write(into: &writer)
    control.append(writer.bytes)
  }

  /// RFC 6525 §5.2.2. While data of before the reset is missing the peer is told to ask again; it keeps its streams still meanwhile,
  /// so that nothing of after the reset can come before it.
  private mutating func answer(_ lastTSN: UInt32, _ streams: [UInt16]) -> UInt32 {
    guard streams.allSatisfy({ $0 < configuration.incomingStreams }) else { return ResetParameter.Result.wrongStream }
    let last = SerialNumber.extend(lastTSN, near: received.cumulative)
    guard last <= received.cumulative, hasRoomForEvents else { return ResetParameter.Result.inProgress }
    incoming.reset(streams)
    for stream in streams { fragments.drop(stream: stream) }
    raise(.incomingReset(streams))
    return ResetParameter.Result.performed
  }

  private mutating func receiveResponse(_ number: UInt32, _ result: UInt32, now: Instant) {
    guard let request = reset.request, request.number == number else { return }
    failures = 0
    if result == ResetParameter.Result.inProgress {
      // A new number: dcsctp takes the old one for answered.
      reset.request?.number = reset.nextNumber
      reset.nextNumber &+= 1
      timers.reset = now + timeout.value
      return
    }
    let isAccepted = result == ResetParameter.Result.performed || result == ResetParameter.Result.nothingToDo
    reset.request = nil
    reset.mustSend = false
    timers.reset = .distantFuture
    for stream in request.streams { streams.reopen(stream, restarts: isAccepted) }
    raise(.outgoingReset(request.streams, accepted: isAccepted))
  }

  /// The handshake has shown that the peer knows no resets.
  mutating func giveUpResets() {
    guard !reset.waiting.isEmpty, !extensions.contains(.reconfiguration) else { return }
    raise(.outgoingReset(exchange(&reset.waiting, with: []), accepted: false))
  }
}

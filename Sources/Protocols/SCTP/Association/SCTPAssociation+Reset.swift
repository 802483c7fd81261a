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

  /// Streams in one request; it must fit into a packet.
  private static let maximumStreams = 256

  /// Takes up the streams that have nothing left to send.
  private mutating func beginRequest() {
    guard reset.request == nil, !reset.waiting.isEmpty, state == .established || state == .shutdownPending else { return }
    let idle = reset.waiting.filter { streams[$0]?.messages.isEmpty ?? true }.prefix(Self.maximumStreams)
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

  /// RFC 6525 §5.1.1: asks again.
  mutating func resetTimeout(now: Instant) {
    guard reset.request != nil, countFailure() else { return }
    timeout.backOff()
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
      case .outgoing(let request, _, let last, let streams): answer(request, last, streams)
      case .other(let request): if isExpected(request) { conclude(request, ResetParameter.Result.denied) }
      case .response(let request, let result): receiveResponse(request, result, now: now)
      }
    }
  }

  /// RFC 6525 §5.2.1: the last request again gets the last answer again, any other is out of sequence.
  private mutating func isExpected(_ request: UInt32) -> Bool {
    if request == reset.expected { return true }
    respond(request, request == reset.expected &- 1 ? reset.lastResult : ResetParameter.Result.badSequenceNumber)
    return false
  }

  private mutating func conclude(_ request: UInt32, _ result: UInt32) {
    reset.expected = request &+ 1
    reset.lastResult = result
    reset.deferred = nil
    respond(request, result)
  }

  private mutating func respond(_ request: UInt32, _ result: UInt32) {
    var writer = ByteWriter()
    ReconfigurationChunk([.response(to: request, result: result)]).write(into: &writer)
    control.append(writer.bytes)
  }

  /// RFC 6525 §5.2.2. While data of before the reset is missing the peer is told to ask again, and keeps its streams still.
  private mutating func answer(_ request: UInt32, _ lastTSN: UInt32, _ streams: [UInt16]) {
    guard isExpected(request) else { return }
    guard streams.allSatisfy({ $0 < configuration.incomingStreams }) else { return conclude(request, ResetParameter.Result.wrongStream) }
    let last = SerialNumber.extend(lastTSN, near: received.cumulative)
    guard last <= received.cumulative, hasRoomForEvents else {
      reset.deferred = StreamReset.Deferred(number: request, lastTSN: lastTSN, streams: streams)
      return respond(request, ResetParameter.Result.inProgress)
    }
    perform(request, streams)
  }

  /// The data that a reset waited for has come.
  mutating func performDeferredReset() {
    guard let deferred = reset.deferred, hasRoomForEvents else { return }
    guard SerialNumber.extend(deferred.lastTSN, near: received.cumulative) <= received.cumulative else { return }
    perform(deferred.number, deferred.streams)
  }

  private mutating func perform(_ request: UInt32, _ streams: [UInt16]) {
    incoming.reset(streams)
    for stream in streams { fragments.drop(stream: stream) }
    raise(.incomingReset(streams))
    conclude(request, ResetParameter.Result.performed)
  }

  private mutating func receiveResponse(_ number: UInt32, _ result: UInt32, now: Instant) {
    guard let request = reset.request, request.number == number else { return }
    failures = 0
    if result == ResetParameter.Result.inProgress || result == ResetParameter.Result.alreadyInProgress {
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
}

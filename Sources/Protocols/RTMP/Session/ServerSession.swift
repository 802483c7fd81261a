package import MartletPrimitives

/// The server's side of one RTMP connection (RTMP 1.0 §5 to §7), without the socket.
///
///     handshaking ──▶ awaitingConnect ──▶ deciding ── acceptConnect ──▶ connected ──▶ closed
///
/// Bytes and the time go in through `receive` and `timeout`; `pollEvent` and `takeOutput` are drained after each call.
/// Decisions (who may connect, publish, play) are asked by events and given by `accept…` and `reject…`, at any later
/// time; an answer to something that no longer waits does nothing. Media for players does not pass through here: the
/// hub sends shared wire images (`ChunkWriter.wireImage`) on chunk streams 4 to 6, which the session itself never uses.
package struct ServerSession: ~Copyable {
  enum Phase {
    case handshaking
    case awaitingConnect
    case deciding(Deciding)
    case connected
    case closed
  }

  /// A `connect` without its answer, and what came behind it.
  struct Deciding {
    var transaction: Double
    var request: ConnectRequest
    var behind: [RTMPMessage] = []
    var bytes = 0
  }

  let configuration: ServerSessionConfiguration
  var phase = Phase.handshaking
  var link: MessageLink
  var streams: [UInt32: ServerStream] = [:]
  /// The highest message stream id given out so far.
  var highestStreamID: UInt32 = 0
  /// Media of publishers that await their decision, within `undecidedBytes` for all of them.
  var held: [RTMPMessage] = []
  var heldBytes = 0
  /// How the client's last command was encoded; answers are encoded alike.
  var encoding = Command.Encoding.amf0
  /// The time from the last ping to its answer.
  package private(set) var roundTrip: TimeSpan?
  package private(set) var deadline: Instant?

  private var handshake: ServerHandshake
  private var events = Deque<ServerEvent>()
  private var mostEvents = 0
  /// Emptied by each `receive`, kept for its memory.
  private var inbox: [RTMPMessage] = []
  private var pingSent: (time: UInt32, at: Instant)?

  /// Queues up to this many elements keep their memory for the next burst.
  private static let keptEvents = 1024

  package init(configuration: ServerSessionConfiguration = .init(), now: Instant, random: inout some RandomNumberGenerator) {
    self.configuration = configuration
    link = MessageLink(limits: configuration.strangerLimits, window: configuration.windowAcknowledgementSize)
    handshake = ServerHandshake(random: &random)
    deadline = now + configuration.handshakeTimeout
  }

  // MARK: Verbs

  /// Takes what the client sent, cut anywhere. After an error the session is closed: send what `takeOutput` still has,
  /// then close the connection.
  /// What was accepted ends with it, without events.
  package mutating func receive(_ bytes: RawSpan, now: Instant) throws(RTMPError) {
    if isClosed { throw .closed }
    do { try take(bytes, now: now) } catch {
      close()
      throw error
    }
  }

  /// To be called at `deadline`.
  package mutating func timeout(now: Instant) throws(RTMPError) {
    guard let deadline, now >= deadline else { return }
    let error: RTMPError
    if case .handshaking = phase {
      error = .timedOut(waitingFor: "complete RTMP handshake", after: configuration.handshakeTimeout)
    } else {
      error = .timedOut(waitingFor: "connect command", after: configuration.connectTimeout)
    }
    close()
    throw error
  }

  /// Asks the client for a sign of life; `roundTrip` has the result.
  package mutating func ping(now: Instant) {
    guard case .connected = phase else { return }
    let time = UInt32(truncatingIfNeeded: now.nanoseconds / 1_000_000)
    pingSent = (time, now)
    link.send(UserControl.pingRequest(time))
  }

  // MARK: Drain

  package mutating func pollEvent() -> ServerEvent? {
    if let event = events.popFirst() { return event }
    // A burst of tiny messages must not leave its queue behind.
    if mostEvents > Self.keptEvents { events.removeAll() }
    mostEvents = 0
    return nil
  }

  /// Bytes to send, in order.
  package mutating func takeOutput() -> [UInt8] { link.takeOutput() }

  package var isClosed: Bool {
    if case .closed = phase { true } else { false }
  }

  /// The message stream on which the client plays: where wire images are to go. The lowest when it plays several.
  package var playerStreamID: UInt32? { streams.filter { $0.value.isPlaying }.keys.min() }

  /// Bytes held of messages that are not complete: what a process-wide budget adds up.
  package var unfinishedBytes: Int { link.unfinishedBytes }

  /// What our chunks are cut to at present.
  package var outgoingChunkSize: Int { link.chunkSize }

  // MARK: Inside

  mutating func emit(_ event: ServerEvent) {
    events.append(event)
    mostEvents = max(mostEvents, events.count)
  }

  /// Decisions that come late find nothing to apply to.
  mutating func close() {
    phase = .closed
    deadline = nil
    streams = [:]
    held = []
    heldBytes = 0
  }

  /// No deadline while the driver decides.
  mutating func waitForDecision() { deadline = nil }

  mutating func connected() {
    phase = .connected
    deadline = nil
  }

  private mutating func take(_ bytes: RawSpan, now: Instant) throws(RTMPError) {
    var offset = 0
    if case .handshaking = phase {
      var reply: [UInt8] = []
      offset = try handshake.receive(bytes, into: &reply)
      link.append(reply)
      link.count(offset)
      guard handshake.isDone else { return }
      phase = .awaitingConnect
      deadline = now + configuration.connectTimeout
    }
    guard offset < bytes.byteCount else { return }
    var messages = exchange(&inbox, with: [])
    var failure: RTMPError?
    do { try link.receive(bytes.extracting(offset..<bytes.byteCount), into: &messages) } catch { failure = error }
    // What was complete before the bytes went wrong still counts.
    for message in messages { try handle(message, now: now) }
    if messages.capacity <= Self.keptEvents {
      messages.removeAll(keepingCapacity: true)
      inbox = messages
    }
    if let failure { throw failure }
  }

  mutating func handle(_ message: RTMPMessage, now: Instant) throws(RTMPError) {
    switch try link.control(message) {
    case .none: try handleBehindControl(message)
    case .done: break
    case .acknowledged(let bytes): emit(.acknowledged(bytes: bytes))
    case .user(.setBufferLength(let stream, let milliseconds)): emit(.bufferLength(streamID: stream, milliseconds: milliseconds))
    case .user(.pingResponse(let time)):
      if let sent = pingSent, sent.time == time {
        roundTrip = now - sent.at
        pingSent = nil
      }
    case .user: break
    }
  }

  mutating func handleBehindControl(_ message: RTMPMessage) throws(RTMPError) {
    if isClosed { return }
    if case .deciding = phase { return try postpone(message) }
    switch message.type {
    case .command, .commandAMF3: try handle(Command(message, limits: configuration.amfLimits), on: message.streamID)
    case .audio, .video, .data, .dataAMF3: try media(message)
    case .aggregate: for part in try Aggregate.split(message) { try media(part) }
    default: break
    }
  }

  /// Keeps what comes before the driver has decided about `connect`.
  private mutating func postpone(_ message: RTMPMessage) throws(RTMPError) {
    guard case .deciding(var deciding) = exchange(&phase, with: .closed) else { return }
    deciding.bytes += message.payload.count + 64
    guard deciding.bytes <= configuration.undecidedBytes else {
      throw .limit("bytes sent before connect was answered", value: deciding.bytes, maximum: configuration.undecidedBytes)
    }
    deciding.behind.append(message)
    phase = .deciding(deciding)
  }
}

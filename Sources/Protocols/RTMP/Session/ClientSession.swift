package import MartletPrimitives

/// The client's side of one RTMP connection, for one stream that is published or played.
///
///     handshaking ──▶ connecting ──▶ creating ──▶ starting ──▶ active ──▶ closed
///
/// The same shape as `ServerSession`: bytes and the time go in, `pollEvent` and `takeOutput` are drained after each call.
/// The first output, C0 and C1, is there from the start.
package struct ClientSession: ~Copyable {
  enum Phase: String {
    case handshaking = "complete RTMP handshake"
    case connecting = "answer to connect"
    case creating = "answer to createStream"
    case starting = "answer to publish or play"
    case active = "media"
    case closed
  }

  /// What an answer of the server belongs to.
  enum Transaction: Double {
    case connect = 1
    case releaseStream, fcPublish, createStream, checkBandwidth, fcUnpublish
  }

  let configuration: ClientSessionConfiguration
  var link: MessageLink
  package private(set) var deadline: Instant?
  /// The message stream the server gave us, else 0.
  package internal(set) var streamID: UInt32 = 0

  private(set) var phase = Phase.handshaking
  private var handshake: ClientHandshake
  private var events = Deque<ClientEvent>()
  private var inbox: [RTMPMessage] = []
  private var hasEnded = false

  package init(_ configuration: ClientSessionConfiguration, now: Instant, random: inout some RandomNumberGenerator) {
    self.configuration = configuration
    link = MessageLink(limits: configuration.chunkLimits, window: configuration.windowAcknowledgementSize)
    var hello: [UInt8] = []
    handshake = ClientHandshake(configuration.handshake, random: &random, into: &hello)
    link.append(hello)
    deadline = now + configuration.stepTimeout
  }

  // MARK: Verbs

  /// Takes what the server sent, cut anywhere. After an error the session is closed.
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
    let error = RTMPError.timedOut(waitingFor: phase.rawValue, after: configuration.stepTimeout)
    close()
    throw error
  }

  /// Sends audio, video or data of what is published. Metadata gets the `@setDataFrame` that servers expect.
  /// - Parameter timestamp: milliseconds, wrapping at 2^32.
  /// - Returns: false, and nothing is sent, unless `publishing` has been reported.
  @discardableResult
  package mutating func sendMedia(_ type: MessageType, timestamp: UInt32, _ payload: Slice) -> Bool {
    guard phase == .active, case .publish = configuration.purpose else { return false }
    let isMetadata = type == .data && payload.amf0Name == "onMetaData"
    let chunkStream = type == .audio ? ChunkStreamID.audio : type == .video ? ChunkStreamID.video : ChunkStreamID.data
    let body = isMetadata ? Slice(AMF0.encode(["@setDataFrame"]) + payload.array) : payload
    link.send(RTMPMessage(type: type, streamID: streamID, timestamp: timestamp, chunkStreamID: chunkStream, payload: body))
    return true
  }

  /// Asks a server that plays to us to hold back or go on.
  package mutating func pause(_ paused: Bool, milliseconds: Double = 0) {
    guard phase == .active, case .play = configuration.purpose else { return }
    link.send(Command("pause", [.boolean(paused), .number(milliseconds)]).message(streamID: streamID))
  }

  /// Ends publishing or playing in an orderly way: send the output, then close the connection.
  package mutating func finish() {
    if streamID != 0, !isClosed {
      if case .publish = configuration.purpose {
        link.send(Command("FCUnpublish", transaction: Transaction.fcUnpublish.rawValue, [.string(configuration.streamName)]).message())
      }
      link.send(Command("deleteStream", [.number(Double(streamID))]).message())
    }
    close()
  }

  // MARK: Drain

  package mutating func pollEvent() -> ClientEvent? { events.popFirst() }
  package mutating func takeOutput() -> [UInt8] { link.takeOutput() }
  package var isClosed: Bool { phase == .closed }

  // MARK: Inside

  mutating func emit(_ event: ClientEvent) { events.append(event) }

  mutating func enter(_ next: Phase, now: Instant) {
    phase = next
    deadline = next == .active || next == .closed ? nil : now + configuration.stepTimeout
  }

  mutating func fail(code: String, _ description: String) {
    emit(.failed(code: code, description: description))
    close()
  }

  /// Flash Media Server's way to spread its clients: `NetConnection.Connect.Rejected` with the new address in `ex.redirect`.
  mutating func redirect(to address: String) {
    emit(.redirected(to: address))
    close()
  }

  /// Reports the end once, however many of its signs a server sends.
  mutating func ended() {
    guard phase == .active, !hasEnded, case .play = configuration.purpose else { return }
    hasEnded = true
    emit(.ended)
  }

  mutating func resumed() {
    guard hasEnded else { return }
    hasEnded = false
    emit(.playing)
  }

  private mutating func close() {
    phase = .closed
    deadline = nil
  }

  private mutating func take(_ bytes: RawSpan, now: Instant) throws(RTMPError) {
    var offset = 0
    if phase == .handshaking {
      var reply: [UInt8] = []
      offset = try handshake.receive(bytes, into: &reply)
      link.append(reply)
      link.count(offset)
      guard handshake.isDone else { return }
      connect(now: now)
    }
    guard offset < bytes.byteCount else { return }
    var messages = exchange(&inbox, with: [])
    var failure: RTMPError?
    do { try link.receive(bytes.extracting(offset..<bytes.byteCount), into: &messages) } catch { failure = error }
    for message in messages where !isClosed { try handle(message, now: now) }
    if messages.capacity <= 1024 {
      messages.removeAll(keepingCapacity: true)
      inbox = messages
    }
    if let failure { throw failure }
  }

  private mutating func handle(_ message: RTMPMessage, now: Instant) throws(RTMPError) {
    switch try link.control(message) {
    case .none: break
    case .user(.streamEOF(let id)) where id == streamID: return ended()
    case .done, .acknowledged, .user: return
    }
    switch message.type {
    case .command, .commandAMF3: try handle(Command(message, limits: configuration.amfLimits), now: now)
    case .audio, .video, .data, .dataAMF3: try media(message)
    case .aggregate: for part in try Aggregate.split(message) { try media(part) }
    default: break
    }
  }

  private mutating func media(_ message: RTMPMessage) throws(RTMPError) {
    guard phase == .active, case .play = configuration.purpose, message.streamID == streamID else { return }
    guard message.type == .data || message.type == .dataAMF3 else { return emit(.media(message)) }
    guard let data = try message.normalizedData(limits: configuration.amfLimits) else { return }
    switch data.payload.amf0Name {
    // These speak to the player about the connection, not of the stream.
    case "|RtmpSampleAccess", "onStatus": break
    case "onPlayStatus": ended()
    default: emit(.media(data))
    }
  }
}

extension Slice {
  /// The string that a data message begins with.
  var amf0Name: String? {
    guard bytes.byte(at: 0) == AMF0.Marker.string else { return nil }
    var reader = ByteReader(bytes)
    do {
      try reader.skip(1)
      return try reader.string(Int(try reader.u16()))
    } catch { return nil }
  }
}

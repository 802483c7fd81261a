package import MartletPrimitives

/// A server's end of one Engine.IO session (protocol 4): requests and WebSocket messages in; answers, frames and messages out.
///
///     polling ── attachSocket() ──▶ probing ── "2probe" "5" ──▶ webSocket ──▶ closed
///        └───────────── close, a violation, no pong ───────────────────────▶ closed
///
/// The driver hands requests and messages in, then takes `pollEvent` and `pollOutput` until both are empty. A pending GET is
/// answered when output is taken, so that everything sent since goes in one answer; while an upgrade is under way it is
/// answered with a noop at the latest, so that the client can go on with it.
package struct EngineSession: ~Copyable {
  package enum Event: Equatable, Sendable {
    case message(Slice, isBinary: Bool)
    /// Packets travel over the WebSocket from now on.
    case upgraded
    /// The last event.
    case closed(EngineCloseReason)
  }

  package enum Output: Equatable, Sendable {
    /// Answers the GET that waits, with 200 and this body.
    case answerPoll(Slice)
    /// Refuses the GET that waits: packets travel over the WebSocket already.
    case refusePoll(EngineRefusal)
    /// A whole frame for the WebSocket.
    case frame(Slice)
    /// Closes the WebSocket behind what was written to it.
    case closeSocket
  }

  private enum Socket: Equatable { case none, attached(until: Instant), probed(until: Instant), carrying }

  package let sid: String
  private let configuration: EngineConfiguration
  private var socket: Socket
  private var queue = Deque<EngineMessage>()
  /// What waits for the next poll.
  package private(set) var queuedBytes = 0
  private var output = Deque<Output>()
  private var events = Deque<Event>()
  private var isPollPending = false, isPostPending = false
  private var closeReason: EngineCloseReason?
  /// Closed while nobody polls: one more poll hears what is left, and the last word, until then.
  private var lingersUntil: Instant?
  private var lastWord = EngineMessage.close
  private var nextPing: Instant
  private var pongDue: Instant?

  package init(sid: String, _ configuration: EngineConfiguration, transport: EngineTransport, now: Instant) {
    self.sid = sid
    self.configuration = configuration
    socket = transport == .webSocket ? .carrying : .none
    nextPing = now + configuration.pingInterval
    // The request that opened the session is its first poll.
    isPollPending = transport == .polling
    send(EngineMessage(.open, Self.handshake(sid, configuration, transport)))
  }

  private static func handshake(_ sid: String, _ configuration: EngineConfiguration, _ transport: EngineTransport) -> String {
    var writer = JSONWriter()
    writer.object { json in
      json.member("sid", sid)
      json.member("upgrades") { upgrades in
        upgrades.array { if transport == .polling, configuration.allowsUpgrades { $0.value("websocket") } }
      }
      json.member("pingInterval", Int(configuration.pingInterval.milliseconds))
      json.member("pingTimeout", Int(configuration.pingTimeout.milliseconds))
      json.member("maxPayload", configuration.limits.payloadBytes)
    }
    return writer.text
  }

  /// Nothing more comes in or out, except what `pollOutput` and `pollEvent` still hold.
  package var isClosed: Bool { closeReason != nil && lingersUntil == nil }
  package var transport: EngineTransport { socket == .carrying ? .webSocket : .polling }

  package mutating func pollEvent() -> Event? { events.popFirst() }

  package mutating func pollOutput() -> Output? {
    if isPollPending, queue.isEmpty, case .probed = socket { enqueue(.noop) }
    if isPollPending, !queue.isEmpty { answerPoll() }
    return output.popFirst()
  }

  // MARK: Polling

  /// A GET arrived. Its answer comes with the output, at once or later.
  package mutating func poll() throws(EngineRefusal) {
    guard !isClosed else { throw .unknownSession }
    guard transport == .polling else { throw .badRequest }
    guard !isPollPending else {
      // Two at once would make the order of packets a matter of luck: both lose.
      if lingersUntil == nil { finish(.transportError, farewell: .close) }
      throw .badRequest
    }
    isPollPending = true
    if lingersUntil != nil {
      lingersUntil = nil
      enqueue(lastWord)
    }
  }

  /// The client of the pending GET left.
  package mutating func pollAborted() {
    guard isPollPending else { return }
    isPollPending = false
    if closeReason == nil { finish(.transportError, farewell: nil) }
  }

  /// A POST arrived; its body follows with `endPost`, or `abortPost`.
  package mutating func beginPost() throws(EngineRefusal) {
    guard closeReason == nil else { throw .unknownSession }
    guard transport == .polling else { throw .badRequest }
    guard !isPostPending else {
      finish(.transportError, farewell: .close)
      throw .badRequest
    }
    isPostPending = true
  }

  package mutating func abortPost() {
    guard isPostPending else { return }
    isPostPending = false
    if closeReason == nil { finish(.transportError, farewell: .close) }
  }

  /// The whole body. When it does not throw the answer is `ok`.
  package mutating func endPost(_ body: Slice, now: Instant) throws(EngineRefusal) {
    isPostPending = false
    guard closeReason == nil else { throw .unknownSession }
    let packets: [EnginePacket]
    do throws(ParseError) { packets = try EnginePayload.decode(body, limits: configuration.limits) } catch {
      finish(.parseError, farewell: .close)
      throw .badRequest
    }
    for packet in packets {
      receive(packet, now: now)
      if closeReason == .parseError || closeReason == .transportError { throw .badRequest }
    }
  }

  // MARK: WebSocket

  /// A WebSocket with this session's id asks to take over from polling.
  package mutating func attachSocket(now: Instant) throws(EngineRefusal) {
    guard closeReason == nil else { throw .unknownSession }
    guard socket == .none, configuration.allowsUpgrades else { throw .badRequest }
    socket = .attached(until: now + configuration.upgradeTimeout)
  }

  /// A whole message of the WebSocket; text is UTF-8.
  package mutating func receive(_ data: Slice, isBinary: Bool, now: Instant) {
    guard closeReason == nil, socket != .none else { return }
    guard data.count <= configuration.limits.payloadBytes else { return finish(.transportError, farewell: nil) }
    var packet = EnginePacket(.message, data, isBinary: true)
    if !isBinary {
      do throws(ParseError) { packet = try EnginePacket(text: data) } catch {
        return socket == .carrying ? finish(.parseError, farewell: nil) : dropCandidate()
      }
    }
    if socket == .carrying { receive(packet, now: now) } else { probe(packet) }
  }

  /// The WebSocket is gone.
  package mutating func socketDidClose() {
    guard socket == .carrying else {
      socket = .none
      return
    }
    socket = .none
    if closeReason == nil { finish(.transportClose, farewell: nil) }
  }

  /// "Upgrade": a ping and its pong show that the way is open; then the client says when it has stopped polling.
  private mutating func probe(_ packet: EnginePacket) {
    switch (socket, packet.kind) {
    case (.attached(let until), .ping) where packet.data == Slice(Array("probe".utf8)):
      socket = .probed(until: until)
      output.append(.frame(EngineMessage.probeAnswer.frame))
    case (.probed, .upgrade):
      // A client waits for the end of its last poll before it says so: this one came too late.
      if isPollPending {
        isPollPending = false
        output.append(.refusePoll(.badRequest))
      }
      socket = .carrying
      while let message = queue.popFirst() { output.append(.frame(message.frame)) }
      queuedBytes = 0
      events.append(.upgraded)
    default: dropCandidate()
    }
  }

  /// The session goes on with polling.
  private mutating func dropCandidate() {
    socket = .none
    output.append(.closeSocket)
  }

  // MARK: Packets

  private mutating func receive(_ packet: EnginePacket, now: Instant) {
    guard closeReason == nil else { return }
    switch packet.kind {
    case .message: events.append(.message(packet.data, isBinary: packet.isBinary))
    case .pong:
      guard pongDue != nil else { return }
      pongDue = nil
      nextPing = now + configuration.pingInterval
    case .close:
      guard socket != .carrying, !isPollPending else { return finish(.transportClose, farewell: .noop) }
      // A poll may be on its way, over another connection than this packet came by.
      linger(.transportClose, until: now + .milliseconds(200), lastWord: .noop)
    // Since version 4 it is the server that pings.
    case .open, .ping: finish(.parseError, farewell: .close)
    case .upgrade, .noop: break
    }
  }

  package mutating func send(_ message: EngineMessage) {
    guard closeReason == nil else { return }
    if socket == .carrying { return output.append(.frame(message.frame)) }
    enqueue(message)
    if queuedBytes > configuration.limits.queuedBytes || queue.count > configuration.limits.queuedPackets {
      finish(.overflow, farewell: nil)
    }
  }

  private mutating func enqueue(_ message: EngineMessage) {
    queue.append(message)
    queuedBytes += message.payloadCount
  }

  private mutating func answerPoll() {
    var writer = ByteWriter(capacity: queuedBytes)
    while let message = queue.popFirst() {
      if writer.count > 0 { writer.u8(EnginePayload.separator) }
      message.write(into: &writer)
    }
    queuedBytes = 0
    isPollPending = false
    output.append(.answerPoll(writer.slice))
  }

  // MARK: Time

  package var deadline: Instant? {
    if let lingersUntil { return lingersUntil }
    guard closeReason == nil else { return nil }
    let heartbeat = pongDue ?? nextPing
    switch socket {
    case .attached(let until), .probed(let until): return min(heartbeat, until)
    case .none, .carrying: return heartbeat
    }
  }

  package mutating func timeout(now: Instant) {
    if let until = lingersUntil, now >= until { lingersUntil = nil }
    guard closeReason == nil else { return }
    switch socket {
    case .attached(let until), .probed(let until): if now >= until { dropCandidate() }
    case .none, .carrying: break
    }
    if let due = pongDue {
      if now >= due { finish(.pingTimeout, farewell: .close) }
    } else if now >= nextPing {
      // Counted from when it should have gone, so that a late timer gives nobody more time than was promised.
      pongDue = nextPing + configuration.pingTimeout
      send(.ping)
    }
  }

  // MARK: Closing

  /// Ends the session from here. Over polling, what is queued waits for one more poll.
  package mutating func close(now: Instant) {
    guard closeReason == nil else { return }
    guard socket != .carrying, !isPollPending else { return finish(.forcedClose, farewell: .close) }
    linger(.forcedClose, until: now + configuration.pingTimeout, lastWord: .close)
  }

  private mutating func linger(_ reason: EngineCloseReason, until: Instant, lastWord: EngineMessage) {
    closeReason = reason
    lingersUntil = until
    self.lastWord = lastWord
    if socket != .none { dropCandidate() }
    events.append(.closed(reason))
  }

  /// Ends the session because of what only the driver knows: what the packets said, or that too much waits to be written.
  package mutating func fail(_ reason: EngineCloseReason) {
    if closeReason == nil { finish(reason, farewell: .close) }
  }

  /// A frame may go to the WebSocket past this machine: there is one, and nothing waits before it.
  package var sendsFramesAtOnce: Bool { socket == .carrying && closeReason == nil && output.isEmpty }

  /// - Parameter farewell: what a pending poll is answered with, behind what is queued.
  private mutating func finish(_ reason: EngineCloseReason, farewell: EngineMessage?) {
    closeReason = reason
    if isPollPending {
      enqueue(farewell ?? .close)
      answerPoll()
    }
    if socket != .none { output.append(.closeSocket) }
    socket = .none
    queue.removeAll()
    events.append(.closed(reason))
  }
}

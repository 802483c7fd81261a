package import MartletPrimitives

/// One end of a WebSocket (RFC 6455) behind the handshake: bytes in; messages and bytes out.
///
///     open ── close() ──▶ closing ── Close received ──▶ closed
///       └──── Close received (answered) or a violation (Close 100x queued) ────▶ closed
///
/// Once `isClosed` and the output is sent, a server closes TCP; a client waits for the server to do so (§7.1.1).
/// Pings are answered here; of pings that come faster than output is taken only the last is (§5.5.3), so a flood of
/// them cannot grow the output.
package struct WebSocketMachine: ~Copyable {
  package enum Role: Sendable {
    case server
    /// - Parameter maskSeed: at least 16 bytes that nobody can guess.
    case client(maskSeed: [UInt8])
  }

  package struct Limits: Sendable {
    /// Bytes of one frame's payload.
    package var frame = 1 << 20
    /// Bytes of a message over all its fragments.
    package var message = 1 << 20
    /// Fragments of one message: empty ones cost us and nothing else.
    package var fragments = 4096
    package init() {}
  }

  package enum MessageKind: Sendable { case text, binary }

  package enum Event: Equatable, Sendable {
    /// A whole message; text is valid UTF-8.
    case message(MessageKind, Slice)
    case ping(Slice)
    case pong(Slice)
    /// The peer's Close; `.noStatus` when it gave no code. The answer is queued.
    case closed(WebSocketCloseCode, reason: String)
  }

  private enum State { case open, closing, closed, failed(WebSocketError) }

  private struct Frame {
    var header: FrameReader.Header
    var received = 0
  }

  private var state = State.open
  private var reader: FrameReader
  private var frame: Frame?
  private var message: IncomingMessage?
  private var control: [UInt8] = []
  private var events = Deque<Event>()
  private var output: [UInt8] = []
  private var pong: [UInt8]?
  private var masks: MaskKeys?
  private let limits: Limits

  package init(_ role: Role, limits: Limits = Limits()) {
    self.limits = limits
    switch role {
    case .server: reader = FrameReader(expectsMask: true)
    case .client(let seed):
      reader = FrameReader(expectsMask: false)
      masks = MaskKeys(seed: seed)
    }
  }

  package mutating func pollEvent() -> Event? { events.popFirst() }

  /// Both Close frames went, or the connection failed: nothing is read or written any more behind the output.
  package var isClosed: Bool {
    switch state {
    case .open, .closing: false
    case .closed, .failed: true
    }
  }

  /// Data may be sent.
  package var isOpen: Bool { if case .open = state { true } else { false } }

  /// Takes bytes of the peer and queues events and answers.
  ///
  /// - Throws: what the peer did wrong; a Close frame with the code is in the output. Events before it stay valid.
  package mutating func receive(_ bytes: RawSpan) throws(WebSocketError) {
    if case .failed(let error) = state { throw error }
    var offset = 0
    do {
      while offset < bytes.byteCount, !isClosed { try step(bytes, &offset) }
    } catch {
      if case .open = state { queueClose(error.code, error.reason) }
      state = .failed(error)
      (message, frame) = (nil, nil)
      throw error
    }
  }

  /// Bytes to send, in order; empty when there are none.
  package mutating func takeOutput() -> [UInt8] {
    if let payload = pong.take() { output.append(contentsOf: encode(.pong, payload.span.bytes)) }
    return exchange(&output, with: [])
  }

  /// A frame as this role sends it, for the caller to write in order with `takeOutput`. Servers share one wire image
  /// between receivers instead (`WebSocketFrame.header`).
  package mutating func encode(_ opcode: WebSocketOpcode, _ payload: RawSpan, fin: Bool = true) -> [UInt8] {
    WebSocketFrame.encode(opcode, payload, fin: fin, mask: masks?.next())
  }

  /// Queues a message. Ignored unless open.
  package mutating func send(_ kind: MessageKind, _ payload: RawSpan) {
    guard isOpen else { return }
    output.append(contentsOf: encode(kind == .text ? .text : .binary, payload))
  }

  /// Queues a ping of at most 125 bytes. Ignored unless open.
  package mutating func ping(_ payload: [UInt8] = []) {
    guard isOpen else { return }
    let cut = Array(payload.prefix(125))
    output.append(contentsOf: encode(.ping, cut.span.bytes))
  }

  /// Begins the closing handshake (§7.1.2). A code that must not go on the wire is sent as an empty Close.
  package mutating func close(_ code: WebSocketCloseCode = .normal, reason: String = "") {
    guard isOpen else { return }
    queueClose(code, reason)
    state = .closing
  }

  private mutating func queueClose(_ code: WebSocketCloseCode, _ reason: String) {
    var writer = ByteWriter()
    if code.isAllowedOnWire {
      writer.u16(code.rawValue)
      // A reason is cut at a character so that it stays UTF-8 within 123 bytes.
      var room = 123
      for scalar in reason.unicodeScalars {
        let size = UTF8.width(scalar)
        guard size <= room else { break }
        room -= size
        writer.string(String(scalar))
      }
    }
    let payload = writer.bytes
    if let pending = pong.take() { output.append(contentsOf: encode(.pong, pending.span.bytes)) }
    output.append(contentsOf: encode(.close, payload.span.bytes))
  }

  private mutating func step(_ bytes: RawSpan, _ offset: inout Int) throws(WebSocketError) {
    guard var current = frame else {
      guard let header = try reader.next(bytes, at: &offset) else { return }
      try begin(header)
      if header.length == 0 { try finish(header) } else { frame = Frame(header: header) }
      return
    }
    let count = min(bytes.byteCount - offset, current.header.length - current.received)
    try take(bytes.extracting(offset..<offset + count), current)
    offset += count
    current.received += count
    if current.received == current.header.length {
      frame = nil
      try finish(current.header)
    } else {
      frame = current
    }
  }

  /// Checks what follows from the frames before (§5.4) and the limits, before any payload is held.
  private mutating func begin(_ header: FrameReader.Header) throws(WebSocketError) {
    guard !header.opcode.isControl else { return control.removeAll(keepingCapacity: true) }
    if header.opcode == .continuation {
      guard message != nil else { throw WebSocketError(.protocolError, "a continuation frame continues nothing") }
    } else {
      guard message == nil else { throw WebSocketError(.protocolError, "a message begins inside another one") }
      message = IncomingMessage(header.opcode == .text ? .text : .binary)
    }
    let total = message?.bytes.count ?? 0
    guard header.length <= limits.frame, header.length <= limits.message - total else {
      throw WebSocketError(.messageTooBig, "a message exceeds \(min(limits.frame, limits.message)) bytes")
    }
    message?.fragments += 1
    guard (message?.fragments ?? 0) <= limits.fragments else {
      throw WebSocketError(.policyViolation, "a message has more than \(limits.fragments) fragments")
    }
  }

  private mutating func take(_ payload: RawSpan, _ frame: Frame) throws(WebSocketError) {
    let mask = frame.header.mask ?? 0
    if frame.header.opcode.isControl {
      let start = control.count
      control.append(payload)
      WebSocketMask.apply(mask, to: &control, from: start, phase: frame.received)
    } else if message?.append(payload, mask: mask, phase: frame.received) == false {
      throw WebSocketError(.invalidPayload, "a text message is not UTF-8")
    }
  }

  private mutating func finish(_ header: FrameReader.Header) throws(WebSocketError) {
    switch header.opcode {
    case .ping:
      // After our Close nothing but the answer to the peer's may follow.
      if isOpen { pong = control }
      events.append(.ping(Slice(control)))
    case .pong: events.append(.pong(Slice(control)))
    case .close: try receiveClose()
    case .text, .binary, .continuation:
      guard header.fin, let whole = message.take() else { return }
      guard whole.isComplete else { throw WebSocketError(.invalidPayload, "a text message ends inside a character") }
      // §7.1.2: what comes after our Close is of no use to anybody.
      if isOpen { events.append(.message(whole.kind, Slice(whole.bytes))) }
    }
  }

  /// §5.5.1 and §7.4: an empty Close, or a code with an optional UTF-8 reason; answered with the same code.
  private mutating func receiveClose() throws(WebSocketError) {
    var code = WebSocketCloseCode.noStatus
    var reason = ""
    if !control.isEmpty {
      guard control.count >= 2 else { throw WebSocketError(.protocolError, "a Close frame holds half a code") }
      code = WebSocketCloseCode(rawValue: UInt16(control[0]) << 8 | UInt16(control[1]))
      guard code.isAllowedOnWire else { throw WebSocketError(.protocolError, "close code \(code.rawValue) is not for the wire") }
      guard let text = String(validating: control[2...], as: UTF8.self) else {
        throw WebSocketError(.invalidPayload, "a close reason is not UTF-8")
      }
      reason = text
    }
    if isOpen { queueClose(code, "") }
    state = .closed
    events.append(.closed(code, reason: reason))
  }
}

/// A message of which some fragments came.
private struct IncomingMessage: Sendable {
  let kind: WebSocketMachine.MessageKind
  var bytes: [UInt8] = []
  var fragments = 0
  private var validator = UTF8Validator()

  init(_ kind: WebSocketMachine.MessageKind) { self.kind = kind }

  var isComplete: Bool { kind == .binary || validator.isComplete }

  /// Answers `false` as soon as text cannot be UTF-8 any more (§8.1).
  mutating func append(_ payload: RawSpan, mask: UInt32, phase: Int) -> Bool {
    let start = bytes.count
    bytes.append(payload)
    if mask != 0 { WebSocketMask.apply(mask, to: &bytes, from: start, phase: phase) }
    guard kind == .text else { return true }
    var next = validator
    defer { validator = next }
    return next.accept(bytes.span.bytes.extracting(start..<bytes.count))
  }
}

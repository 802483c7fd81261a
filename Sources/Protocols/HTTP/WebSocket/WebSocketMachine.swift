package import MartletPrimitives

/// One end of a WebSocket (RFC 6455) behind the handshake: bytes in; messages and bytes out.
///
///     open ── close() ──▶ closing ── Close received ──▶ closed
///       └──── Close received (answered) or a violation (Close 100x queued) ────▶ closed
///
/// Once `isClosed` and the output is sent, a server closes TCP; a client waits for the server to do so (§7.1.1).
/// Pings are answered here. When answers of more than `maximumPongBytes` wait, only the last ping is answered (§5.5.3), so a flood of
/// them cannot grow the output.
///
/// A frame that lies whole in the bytes received is read where it lies: its payload is copied once, unmasked on the way. Only
/// what is incomplete is held, in an object that is there for as long: an idle machine is a few words.
package struct WebSocketMachine: ~Copyable {
  package enum Role: Sendable {
    case server
    /// - Parameter maskSeed: at least 16 bytes that nobody can guess.
    case client(maskSeed: [UInt8])
  }

  package struct Limits: Equatable, Sendable {
    /// Bytes of one frame's payload.
    package var frame = 1 << 20
    /// Bytes of a message over all its fragments, inflated.
    package var message = 1 << 20
    /// Fragments of one message: empty ones cost us and nothing else.
    package var fragments = 4096
    package init() {}
  }

  package enum MessageKind: Sendable {
    case text, binary
    package var opcode: WebSocketOpcode { self == .text ? .text : .binary }
  }

  package enum Event: Equatable, Sendable {
    /// A whole message; text is valid UTF-8.
    case message(MessageKind, Slice)
    case ping(Slice)
    case pong(Slice)
    /// The peer's Close; `.noStatus` when it gave no code. The answer is queued.
    case closed(WebSocketCloseCode, reason: String)
  }

  private enum State { case open, closing, closed, failed }

  /// What came of a header, a frame or a message that is not complete.
  private final class Partial {
    var header: [UInt8] = []
    /// The frame whose payload is coming, and how much of it came.
    var frame: FrameHeader?
    var received = 0
    var message: IncomingMessage?
    var control: [UInt8] = []
    /// Found behind messages that the owner is to have first.
    var failure: WebSocketError?

    var isEmpty: Bool { header.isEmpty && frame == nil && message == nil && failure == nil }
  }

  private var state = State.open
  private let rules: FrameHeader.Rules
  private let limits: Limits
  private var partial: Partial?
  private var output: [UInt8] = []
  private var pong: [UInt8]?
  /// Bytes of `output` that answer pings.
  private var pongBytes: UInt16 = 0
  private let masks: MaskKeys?
  private let compression: MessageCompression?

  package init(_ role: Role, limits: Limits = Limits(), compression: MessageCompression? = nil) {
    self.limits = limits
    self.compression = compression
    switch role {
    case .server:
      rules = .init(expectsMask: true, allowsRSV1: compression != nil)
      masks = nil
    case .client(let seed):
      rules = .init(expectsMask: false, allowsRSV1: compression != nil)
      masks = MaskKeys(seed: seed)
    }
  }

  /// Both Close frames went, or the connection failed: nothing is read or written any more behind the output.
  package var isClosed: Bool { state == .closed || state == .failed }

  /// Both Close frames went: the connection ended as the protocol wants it (§7.1.4).
  package var isCleanlyClosed: Bool { state == .closed }

  /// The connection was failed here, for what the peer did.
  package var hasFailed: Bool { state == .failed }

  /// Data may be sent.
  package var isOpen: Bool { state == .open }

  /// The other end closes the transport (§7.1.1).
  package var isClient: Bool { masks != nil }

  /// The compressed form of a `WebSocketImage` may be sent here.
  package var takesCompressedImages: Bool { masks == nil && compression?.takesImages ?? false }

  /// Bytes of an incomplete message that are held.
  package var heldBytes: Int { partial?.message?.bytes.count ?? 0 }

  // MARK: Receiving

  /// Messages of one call to `receive`, in bytes, beyond which it takes no more: a packet of small compressed messages can
  /// inflate to hundreds of megabytes.
  private static let batch = 256 * 1024

  /// Takes bytes of the peer, appends what they mean to `events` and queues answers. What comes behind the end is ignored.
  ///
  /// - Returns: how many bytes were taken; when not all, handle the events and come again with the rest.
  /// - Throws: what the peer did wrong; a Close frame with the code is in the output. Events before it stay valid.
  package mutating func receive(_ bytes: RawSpan, into events: inout [Event]) throws(WebSocketError) -> Int {
    if let failure = partial?.failure { throw fail(failure) }
    var (offset, begun, seen, gathered) = (0, 0, events.count, 0)
    var hasMessage = false
    do {
      while offset < bytes.byteCount, !isClosed, gathered < Self.batch {
        begun = offset
        guard try step(bytes, &offset, &events, mayClose: !hasMessage) else { break }
        guard seen < events.count else { continue }
        if case .message(_, let payload) = events[seen] {
          hasMessage = true
          gathered += payload.count
        }
        seen = events.count
      }
    } catch {
      guard hasMessage else { throw fail(error) }
      held().failure = error
      return begun
    }
    if let partial, partial.isEmpty { self.partial = nil }
    return isClosed ? bytes.byteCount : offset
  }

  private mutating func fail(_ error: WebSocketError) -> WebSocketError {
    if state == .open { queueClose(error.code, error.reason) }
    state = .failed
    partial = nil
    return error
  }

  /// - Returns: false in front of a Close, when the owner is to answer what came before it first.
  private mutating func step(
    _ bytes: RawSpan, _ offset: inout Int, _ events: inout [Event], mayClose: Bool
  ) throws(WebSocketError) -> Bool {
    if let partial, partial.frame != nil {
      try goOn(partial, bytes, &offset, &events)
      return true
    }
    if let partial, !partial.header.isEmpty {
      try collectHeader(partial, bytes, &offset, &events)
      return true
    }
    guard let header = try FrameHeader.read(bytes, at: offset, rules) else {
      held().header = Array(copying: bytes.extracting(offset..<bytes.byteCount))
      offset = bytes.byteCount
      return true
    }
    if header.opcode == .close, !mayClose { return false }
    offset += header.size
    let available = bytes.byteCount - offset
    guard header.length <= available, header.opcode.isControl || isWhole(header) else {
      try begin(header, &events)
      return true
    }
    let payload = bytes.extracting(offset..<offset + header.length)
    offset += header.length
    if header.opcode.isControl {
      try finishControl(header.opcode, WebSocketMask.copy(payload, header.mask), &events)
    } else {
      try takeWhole(header, payload, &events)
    }
    return true
  }

  private mutating func held() -> Partial {
    if let partial { return partial }
    let made = Partial()
    partial = made
    return made
  }

  /// The frame is a message of its own that needs no inflating.
  private func isWhole(_ header: FrameHeader) -> Bool {
    header.fin && !header.compressed && header.opcode != .continuation && partial?.message == nil
  }

  private mutating func takeWhole(_ header: FrameHeader, _ payload: RawSpan, _ events: inout [Event]) throws(WebSocketError) {
    guard header.length <= limits.frame, header.length <= limits.message else {
      throw WebSocketError(.messageTooBig, "a message exceeds \(min(limits.frame, limits.message)) bytes")
    }
    let bytes = WebSocketMask.copy(payload, header.mask)
    let kind: MessageKind = header.opcode == .text ? .text : .binary
    if kind == .text {
      var validator = UTF8Validator()
      guard validator.accept(bytes.span.bytes) else { throw WebSocketError(.invalidPayload, "a text message is not UTF-8") }
      guard validator.isComplete else { throw WebSocketError(.invalidPayload, "a text message ends inside a character") }
    }
    // §7.1.2: what comes after our Close is of no use to anybody.
    if isOpen { events.append(.message(kind, Slice(bytes))) }
  }

  private mutating func collectHeader(
    _ partial: Partial, _ bytes: RawSpan, _ offset: inout Int, _ events: inout [Event]
  ) throws(WebSocketError) {
    let before = partial.header.count
    let count = min(FrameHeader.maximumSize - before, bytes.byteCount - offset)
    partial.header.append(bytes.extracting(offset..<offset + count))
    let collected = partial.header
    guard let header = try FrameHeader.read(collected.span.bytes, at: 0, rules) else {
      offset += count
      return
    }
    offset += header.size - before
    partial.header = []
    try begin(header, &events)
  }

  /// Checks what follows from the frames before (§5.4) and the limits, before any payload is held.
  private mutating func begin(_ header: FrameHeader, _ events: inout [Event]) throws(WebSocketError) {
    let partial = held()
    if header.opcode.isControl {
      partial.control = []
    } else {
      if header.opcode == .continuation {
        guard partial.message != nil else { throw WebSocketError(.protocolError, "a continuation frame continues nothing") }
      } else {
        guard partial.message == nil else { throw WebSocketError(.protocolError, "a message begins inside another one") }
        let inflater = header.compressed ? compression?.beginMessage(maximum: limits.message) : nil
        partial.message = IncomingMessage(header.opcode == .text ? .text : .binary, inflater: inflater)
      }
      try partial.message?.begin(header, limits)
    }
    guard header.length == 0 else {
      (partial.frame, partial.received) = (header, 0)
      return
    }
    try finish(partial, header, &events)
  }

  private mutating func goOn(
    _ partial: Partial, _ bytes: RawSpan, _ offset: inout Int, _ events: inout [Event]
  ) throws(WebSocketError) {
    guard let frame = partial.frame else { return }
    let count = min(bytes.byteCount - offset, frame.length - partial.received)
    let payload = bytes.extracting(offset..<offset + count)
    if frame.opcode.isControl {
      let start = partial.control.count
      partial.control.append(payload)
      WebSocketMask.apply(frame.mask, to: &partial.control, from: start, phase: partial.received)
    } else {
      try partial.message?.append(payload, mask: frame.mask, phase: partial.received)
    }
    offset += count
    partial.received += count
    guard partial.received == frame.length else { return }
    partial.frame = nil
    try finish(partial, frame, &events)
  }

  private mutating func finish(_ partial: Partial, _ frame: FrameHeader, _ events: inout [Event]) throws(WebSocketError) {
    if frame.opcode.isControl {
      return try finishControl(frame.opcode, exchange(&partial.control, with: []), &events)
    }
    guard frame.fin else { return }
    try partial.message?.finish()
    guard let whole = partial.message.take() else { return }
    if let inflater = whole.usedInflater { compression?.endMessage(inflater) }
    if isOpen { events.append(.message(whole.kind, Slice(whole.bytes))) }
  }

  private mutating func finishControl(
    _ opcode: WebSocketOpcode, _ payload: [UInt8], _ events: inout [Event]
  ) throws(WebSocketError) {
    switch opcode {
    case .ping:
      // After our Close nothing but the answer to the peer's may follow.
      if isOpen { answer(ping: payload) }
      events.append(.ping(Slice(payload)))
    case .pong: events.append(.pong(Slice(payload)))
    default: try receiveClose(payload, &events)
    }
  }

  /// Answers to pings that wait to be taken; of further ones only the last is answered.
  package static let maximumPongBytes = 2048

  private mutating func answer(ping payload: [UInt8]) {
    guard pong == nil, output.count < Self.maximumPongBytes else { return pong = payload }
    let before = output.count
    queue(.pong, payload.span.bytes)
    pongBytes += UInt16(truncatingIfNeeded: output.count - before)
  }

  /// §5.5.1 and §7.4: an empty Close, or a code with an optional UTF-8 reason; answered with the same code.
  private mutating func receiveClose(_ payload: [UInt8], _ events: inout [Event]) throws(WebSocketError) {
    var code = WebSocketCloseCode.noStatus
    var reason = ""
    if !payload.isEmpty {
      guard payload.count >= 2 else { throw WebSocketError(.protocolError, "a Close frame holds half a code") }
      code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
      guard code.isAllowedOnWire else { throw WebSocketError(.protocolError, "close code \(code.rawValue) is not for the wire") }
      guard let text = String(validating: payload[2...], as: UTF8.self) else {
        throw WebSocketError(.invalidPayload, "a close reason is not UTF-8")
      }
      reason = text
    }
    if isOpen { queueClose(code, "") }
    state = .closed
    partial = nil
    events.append(.closed(code, reason: reason))
  }

  // MARK: Sending

  /// `takeOutput` has something.
  package var hasOutput: Bool { !output.isEmpty || pong != nil }

  /// `takeOutput` has more than answers to pings: it must not wait for a peer that is slow to read.
  package var hasUrgentOutput: Bool { output.count > pongBytes }

  /// Bytes that `takeOutput` would answer, pongs that were put off aside.
  package var outputBytes: Int { output.count }

  /// Bytes to send, in order; empty when there are none.
  package mutating func takeOutput() -> [UInt8] {
    if let payload = pong.take() { queue(.pong, payload.span.bytes) }
    pongBytes = 0
    return exchange(&output, with: [])
  }

  /// A frame as this role sends it, for the caller to write in order with `takeOutput`. Servers share one wire image
  /// between receivers instead (`WebSocketImage`).
  package mutating func encode(_ opcode: WebSocketOpcode, _ payload: RawSpan, fin: Bool = true) -> [UInt8] {
    WebSocketFrame.encode(opcode, payload, fin: fin, mask: masks?.next())
  }

  /// Queues a message, compressed if that was agreed on and is worth it. Ignored unless open.
  package mutating func send(_ kind: MessageKind, _ payload: RawSpan) {
    guard isOpen else { return }
    let packed = compress(kind, payload)
    if let packed { queue(kind, packed: packed.span.bytes) } else { queue(kind, payload) }
  }

  /// Queues a message as it is.
  package mutating func queue(_ kind: MessageKind, _ payload: RawSpan) { queue(kind.opcode, payload) }

  /// The payload of a message's compressed frame; `nil` when the message goes as it is. What it answers must be sent.
  package func compress(_ kind: MessageKind, _ payload: RawSpan) -> [UInt8]? { compression?.compress(kind == .text, payload) }

  /// Queues what `compress` answered.
  package mutating func queue(_ kind: MessageKind, packed: RawSpan) { queue(kind.opcode, packed, compressed: true) }

  private mutating func queue(_ opcode: WebSocketOpcode, _ payload: RawSpan, compressed: Bool = false) {
    WebSocketFrame.append(opcode, payload, compressed: compressed, mask: masks?.next() ?? 0, to: &output)
  }

  /// Queues a ping of at most 125 bytes. Ignored unless open.
  package mutating func ping(_ payload: [UInt8] = []) {
    guard isOpen else { return }
    let cut = Array(payload.prefix(125))
    queue(.ping, cut.span.bytes)
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
    if let pending = pong.take() { queue(.pong, pending.span.bytes) }
    queue(.close, payload.span.bytes)
  }
}

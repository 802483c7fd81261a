internal import MartletPrimitives

/// A message of which some bytes came. Text is validated as it comes, behind inflation (RFC 6455 §8.1, RFC 7692 §6.2).
internal struct IncomingMessage {
  let kind: WebSocketMachine.MessageKind
  private(set) var bytes: [UInt8] = []
  private(set) var fragments = 0
  /// Payload of the frames announced so far, as it is on the wire.
  private var wireBytes = 0
  private var validator = UTF8Validator()
  private let inflater: Inflater?

  init(_ kind: WebSocketMachine.MessageKind, inflater: Inflater?) {
    self.kind = kind
    self.inflater = inflater
  }

  /// What compressed the message is done with.
  var usedInflater: Inflater? { inflater }

  /// Counts a frame in before any of its payload is held.
  mutating func begin(_ frame: FrameHeader, _ limits: WebSocketMachine.Limits) throws(WebSocketError) {
    // What does not compress grows by five bytes for each 16 KiB.
    let limit = inflater == nil ? limits.message : limits.message &+ limits.message / 1024 &+ 64
    guard frame.length <= limits.frame, frame.length <= limit - wireBytes else {
      throw WebSocketError(.messageTooBig, "a message exceeds \(min(limits.frame, limits.message)) bytes")
    }
    wireBytes += frame.length
    fragments += 1
    guard fragments <= limits.fragments else {
      throw WebSocketError(.policyViolation, "a message has more than \(limits.fragments) fragments")
    }
  }

  mutating func append(_ payload: RawSpan, mask: UInt32, phase: Int) throws(WebSocketError) {
    let start = bytes.count
    if let inflater {
      var part = Array(copying: payload)
      WebSocketMask.apply(mask, to: &part, from: 0, phase: phase)
      do throws(WebSocketError) {
        try inflater.inflatePart(part.span.bytes, into: &bytes)
      } catch {
        // What is wrong first is told, however the message was cut.
        try validate(from: start)
        throw error
      }
    } else {
      bytes.append(payload)
      WebSocketMask.apply(mask, to: &bytes, from: start, phase: phase)
    }
    try validate(from: start)
  }

  /// The last frame is complete.
  mutating func finish() throws(WebSocketError) {
    if let inflater {
      let start = bytes.count
      try inflater.inflateTail(into: &bytes)
      try validate(from: start)
    }
    guard validator.isComplete else { throw WebSocketError(.invalidPayload, "a text message ends inside a character") }
  }

  private mutating func validate(from start: Int) throws(WebSocketError) {
    guard kind == .text, start < bytes.count else { return }
    var next = validator
    let isValid = next.accept(bytes.span.bytes.extracting(start..<bytes.count))
    validator = next
    guard isValid else { throw WebSocketError(.invalidPayload, "a text message is not UTF-8") }
  }
}

internal import MartletPrimitives

/// Takes a message's content off the wire: counted, chunked (RFC 9112 §7.1) or until the connection closes.
internal struct BodyReader: Sendable {
  /// What a step brought; neither when more bytes are needed.
  struct Part {
    var data: Slice?
    /// The message has ended with it.
    var trailers: HTTPFields?
  }

  private enum State: Sendable {
    case counted(left: Int)
    case chunkSize
    case chunkData(left: Int)
    case chunkEnd
    case trailers(FieldBlock)
    case untilClose
    case ended
  }

  private var state: State
  private var lines = LineReader()
  private var extensionBytes = 0
  private let limits: HTTP1Limits

  init(_ length: HTTPBodyLength, limits: HTTP1Limits) {
    self.limits = limits
    state =
      switch length {
      case .none, .length(0): .ended
      case .length(let count): .counted(left: count)
      case .chunked: .chunkSize
      case .untilClose: .untilClose
      }
  }

  var isEnded: Bool { if case .ended = state { true } else { false } }
  var isUntilClose: Bool { if case .untilClose = state { true } else { false } }

  /// Takes what belongs to the content, moving `offset` behind it; stops at the end of the message.
  mutating func next(_ bytes: RawSpan, at offset: inout Int) throws(HTTPError) -> Part {
    while offset < bytes.byteCount {
      switch state {
      case .counted(let left):
        let data = Self.take(left, bytes, &offset)
        state = left == data.count ? .ended : .counted(left: left - data.count)
        return Part(data: data, trailers: isEnded ? [:] : nil)
      case .chunkData(let left):
        let data = Self.take(left, bytes, &offset)
        state = left == data.count ? .chunkEnd : .chunkData(left: left - data.count)
        return Part(data: data)
      case .untilClose:
        return Part(data: Self.take(bytes.byteCount, bytes, &offset))
      case .chunkSize, .chunkEnd, .trailers:
        if let trailers = try framing(bytes, &offset) { return Part(trailers: trailers) }
      case .ended:
        return Part(trailers: [:])
      }
    }
    return Part()
  }

  private static func take(_ count: Int, _ bytes: RawSpan, _ offset: inout Int) -> Slice {
    let end = offset + min(count, bytes.byteCount - offset)
    defer { offset = end }
    return Slice(copying: bytes.extracting(offset..<end))
  }

  /// One line of chunk framing; answers the trailers when the message ends with it.
  private mutating func framing(_ bytes: RawSpan, _ offset: inout Int) throws(HTTPError) -> HTTPFields? {
    let (maximum, overflow) = lineLimit
    guard case .line(let line) = try lines.next(bytes, at: &offset, maximum: maximum, overflow: overflow) else { return nil }
    switch state {
    case .chunkSize:
      let size = try chunkSize(line)
      state = size == 0 ? .trailers(FieldBlock(bytes: limits.trailerBytes, count: limits.fields)) : .chunkData(left: size)
    case .chunkEnd:
      state = .chunkSize
    case .trailers(var block):
      if try block.add(line) {
        state = .ended
        return try Self.checkedTrailers(block.fields)
      }
      state = .trailers(block)
    case .counted, .chunkData, .untilClose, .ended:
      break
    }
    return nil
  }

  private var lineLimit: (Int, HTTPError) {
    switch state {
    case .trailers(let block): (block.room, FieldBlock.overflow)
    case .chunkEnd: (0, HTTPError(.badRequest, "a chunk is longer than its size says"))
    case .chunkSize, .counted, .chunkData, .untilClose, .ended:
      (limits.chunkLine, HTTPError(.badRequest, "a chunk-size line exceeds \(limits.chunkLine) bytes"))
    }
  }

  /// `1A`, or `1A;name=value`. White space is allowed before a semicolon only (BWS of RFC 9112 §7.1.1).
  private mutating func chunkSize(_ line: [UInt8]) throws(HTTPError) -> Int {
    var size = 0
    var digits = 0
    while digits < line.count, let digit = line[digits].hexValue {
      guard digits < 15 else { throw HTTPError(.badRequest, "a chunk size has more than 15 digits") }
      size = size << 4 | Int(digit)
      digits += 1
    }
    guard digits > 0 else { throw HTTPError(.badRequest, "a chunk size is not hexadecimal") }
    let rest = line[digits...]
    guard let mark = rest.first(where: { $0 != .space && $0 != .tab }) ?? (rest.isEmpty ? UInt8(ascii: ";") : nil),
      mark == UInt8(ascii: ";"), rest.allSatisfy(\.isFieldContent)
    else { throw HTTPError(.badRequest, "something else than a chunk extension follows a chunk size") }
    extensionBytes += rest.count
    guard extensionBytes <= limits.chunkExtensions else {
      throw HTTPError(.badRequest, "the chunk extensions exceed \(limits.chunkExtensions) bytes")
    }
    return size
  }

  /// RFC 9110 §6.5.1: a trailer never changes the framing or the routing of the message it ends.
  private static func checkedTrailers(_ fields: HTTPFields) throws(HTTPError) -> HTTPFields {
    for name in ["Content-Length", "Transfer-Encoding", "Host", "Trailer", "Authorization", "Content-Encoding"] {
      guard !fields.contains(name) else { throw HTTPError(.badRequest, "\(name) is not allowed in trailers") }
    }
    return fields
  }
}

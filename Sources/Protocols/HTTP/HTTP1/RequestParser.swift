package import MartletPrimitives

/// Reads HTTP/1 requests (RFC 9112) one at a time, strictly: what two implementations could read differently is refused.
///
/// `receive` stops behind the last byte of a message, so the bytes of a pipelined request, or those of the protocol that
/// follows an upgrade, stay with the caller. An error is final: answer with its status and close.
package struct RequestParser: ~Copyable {
  package enum Event: Equatable, Sendable {
    /// `.none`, `.length` or `.chunked`.
    case head(HTTPRequest, body: HTTPBodyLength)
    /// At most as much as one call of `receive` was given.
    case body(Slice)
    /// Comes for every message, also one without content.
    case end(trailers: HTTPFields)
  }

  private enum State {
    case requestLine(emptyLines: Int)
    case fields(RequestLine, FieldBlock)
    case body(BodyReader)
    case failed(HTTPError)
  }

  private var state = State.requestLine(emptyLines: 0)
  private var lines = LineReader()
  private var events = Deque<Event>()
  private let limits: HTTP1Limits

  package init(limits: HTTP1Limits = HTTP1Limits()) { self.limits = limits }

  /// Whether no byte of the next message has come: an idle connection may be closed now without harm.
  package var isIdle: Bool {
    if case .requestLine = state { lines.pending == 0 } else { false }
  }

  package mutating func pollEvent() -> Event? { events.popFirst() }

  /// Takes bytes up to the end of the current message and queues what they mean.
  ///
  /// - Returns: how many bytes were taken; fewer than given when the message ended.
  /// - Throws: 400, 414, 431 or 505; the same again on every later call.
  package mutating func receive(_ bytes: RawSpan) throws(HTTPError) -> Int {
    var offset = 0
    do {
      while offset < bytes.byteCount, try !step(bytes, &offset) {}
      return offset
    } catch {
      state = .failed(error)
      throw error
    }
  }

  /// One line or one piece of content; answers whether the message ended with it.
  private mutating func step(_ bytes: RawSpan, _ offset: inout Int) throws(HTTPError) -> Bool {
    switch exchange(&state, with: .failed(Self.reentered)) {
    case .requestLine(let emptyLines):
      state = try startLine(bytes, &offset, emptyLines)
      return false
    case .fields(let line, var block):
      let step = try lines.next(bytes, at: &offset, maximum: block.room, overflow: FieldBlock.overflow)
      guard case .line(let text) = step, try block.add(text) else {
        state = .fields(line, block)
        return false
      }
      return try finishHead(line, block.fields)
    case .body(var reader):
      let part = try reader.next(bytes, at: &offset)
      if let data = part.data { events.append(.body(data)) }
      if let trailers = part.trailers { return finish(trailers: trailers) }
      state = .body(reader)
      return false
    case .failed(let error):
      throw error
    }
  }

  private static let reentered = HTTPError(.badRequest, "the connection failed before")

  private mutating func startLine(_ bytes: RawSpan, _ offset: inout Int, _ emptyLines: Int) throws(HTTPError) -> State {
    if lines.pending == 0, bytes.byte(at: offset) == 0x16 {
      throw HTTPError(.badRequest, "TLS on a port that speaks plain HTTP; use https:// with the HTTPS port")
    }
    let overflow = HTTPError(.uriTooLong, "the request line exceeds \(limits.startLine) bytes")
    guard case .line(let line) = try lines.next(bytes, at: &offset, maximum: limits.startLine, overflow: overflow) else {
      return .requestLine(emptyLines: emptyLines)
    }
    // §2.2: an empty line before a request is ignored, as old clients send one behind a POST.
    if line.isEmpty {
      guard emptyLines == 0 else { throw HTTPError(.badRequest, "empty lines stand where a request was expected") }
      return .requestLine(emptyLines: 1)
    }
    return .fields(try RequestLine(line), FieldBlock(bytes: limits.fieldBytes, count: limits.fields))
  }

  private mutating func finishHead(_ line: RequestLine, _ fields: HTTPFields) throws(HTTPError) -> Bool {
    try Self.checkHost(fields, line.version)
    let length: HTTPBodyLength =
      if try FieldLine.isChunked(fields, line.version) {
        .chunked
      } else if let count = try FieldLine.contentLength(fields), count > 0 {
        .length(count)
      } else {
        .none
      }
    let request = HTTPRequest(method: line.method, target: line.target, version: line.version, fields: fields)
    events.append(.head(request, body: length))
    let reader = BodyReader(length, limits: limits)
    guard reader.isEnded else {
      state = .body(reader)
      return false
    }
    return finish(trailers: [:])
  }

  private mutating func finish(trailers: HTTPFields) -> Bool {
    events.append(.end(trailers: trailers))
    state = .requestLine(emptyLines: 0)
    return true
  }

  /// RFC 9112 §3.2: exactly one valid `Host` in HTTP/1.1, at most one in HTTP/1.0.
  private static func checkHost(_ fields: HTTPFields, _ version: HTTPVersion) throws(HTTPError) {
    let (value, count) = fields.only("Host")
    guard count <= 1 else { throw HTTPError(.badRequest, "Host is repeated") }
    guard let host = value else {
      guard version == .http10 else { throw HTTPError(.badRequest, "HTTP/1.1 needs a Host field") }
      return
    }
    guard host.isEmpty || HTTPTarget.isAuthority(host) else { throw HTTPError(.badRequest, "Host is not a host with an optional port") }
  }
}

/// `METHOD SP target SP HTTP/1.1` with single spaces (RFC 9112 §3).
internal struct RequestLine: Sendable {
  let method: HTTPMethod
  let target: HTTPTarget
  let version: HTTPVersion

  /// - Throws: 400 or 505.
  init(_ line: [UInt8]) throws(HTTPError) {
    let parts = line.split(separator: .space, maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw HTTPError(.badRequest, "a request line is METHOD, target and version, with one space between") }
    guard (1...32).contains(parts[0].count), parts[0].allSatisfy(CharacterClass.token.contains) else {
      throw HTTPError(.badRequest, "the method is not a token of at most 32 characters")
    }
    version = try Self.version(parts[2])
    method = HTTPMethod(String(decoding: parts[0], as: UTF8.self))
    guard let text = String(validating: parts[1], as: UTF8.self) else {
      throw HTTPError(.badRequest, "the request target is not UTF-8")
    }
    target = try HTTPTarget(text, method: method)
  }

  static func version(_ text: ArraySlice<UInt8>) throws(HTTPError) -> HTTPVersion {
    if text.elementsEqual("HTTP/1.1".utf8) { return .http11 }
    guard text.count == 8, text.starts(with: Array("HTTP/".utf8)), text[text.startIndex + 6] == UInt8(ascii: "."),
      text[text.startIndex + 5].isDigit, text[text.startIndex + 7].isDigit
    else { throw HTTPError(.badRequest, "the line does not end with HTTP/1.1") }
    guard let version = HTTPVersion(rawValue: String(decoding: text, as: UTF8.self)) else {
      throw HTTPError(.versionNotSupported, "HTTP/1.1 and HTTP/1.0 are spoken here")
    }
    return version
  }
}

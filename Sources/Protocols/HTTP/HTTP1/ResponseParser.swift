package import MartletPrimitives

/// Reads the responses of a server, for a client. Built of the same strict pieces as `RequestParser`.
///
/// Tell it of each request in the order of sending (`expect`): whether a response has content depends on the request's
/// method (RFC 9112 §6.3). It stops behind a message, like `RequestParser`.
package struct ResponseParser: ~Copyable {
  package enum Event: Equatable, Sendable {
    /// A 1xx response: the final one follows, but for 101.
    case informational(HTTPResponse)
    case head(HTTPResponse, body: HTTPBodyLength)
    case body(Slice)
    case end(trailers: HTTPFields)
    /// 101, or 2xx to CONNECT: the bytes that `receive` did not take belong to the new protocol.
    case switched(HTTPResponse)
  }

  private struct StatusLine {
    var status: HTTPStatus
    var version: HTTPVersion
  }

  private enum State {
    case statusLine
    case fields(StatusLine, FieldBlock)
    case body(BodyReader)
    case switched
    case failed(HTTPError)
  }

  private var state = State.statusLine
  private var lines = LineReader()
  private var events = Deque<Event>()
  private var methods = Deque<HTTPMethod>()
  private let limits: HTTP1Limits

  package init(limits: HTTP1Limits = HTTP1Limits()) { self.limits = limits }

  package mutating func expect(responseTo method: HTTPMethod) { methods.append(method) }

  package mutating func pollEvent() -> Event? { events.popFirst() }

  /// Takes bytes up to the end of the current response and queues what they mean.
  ///
  /// - Returns: how many bytes were taken.
  /// - Throws: 502 for what is no valid response; the same again on every later call.
  package mutating func receive(_ bytes: RawSpan) throws(HTTPError) -> Int {
    var offset = 0
    do {
      while offset < bytes.byteCount, try !step(bytes, &offset) {}
      return offset
    } catch {
      // The peer is the server here, so its mistakes are a bad gateway's, whatever the shared pieces call them.
      let failure = HTTPError(.badGateway, error.reason)
      state = .failed(failure)
      throw failure
    }
  }

  /// The connection is closed by the server.
  ///
  /// - Throws: 502 when a response is cut off.
  package mutating func receiveEnd() throws(HTTPError) {
    switch state {
    case .body(let reader) where reader.isUntilClose: _ = finish(trailers: [:])
    case .statusLine where lines.pending == 0 && methods.isEmpty: break
    case .switched: break
    case .failed(let error): throw error
    case .statusLine, .fields, .body:
      let error = HTTPError(.badGateway, "the server closed the connection before the response was complete")
      state = .failed(error)
      throw error
    }
  }

  private mutating func step(_ bytes: RawSpan, _ offset: inout Int) throws(HTTPError) -> Bool {
    switch exchange(&state, with: .failed(HTTPError(.badGateway, "the connection failed before"))) {
    case .statusLine:
      guard !methods.isEmpty else { throw HTTPError(.badGateway, "a response that nobody asked for") }
      let overflow = HTTPError(.badGateway, "the status line exceeds \(limits.startLine) bytes")
      guard case .line(let line) = try lines.next(bytes, at: &offset, maximum: limits.startLine, overflow: overflow) else {
        state = .statusLine
        return false
      }
      state = .fields(try Self.statusLine(line), FieldBlock(bytes: limits.fieldBytes, count: limits.fields))
      return false
    case .fields(let line, var block):
      let step = try lines.next(bytes, at: &offset, maximum: block.room, overflow: FieldBlock.overflow)
      guard case .line(let text) = step, try block.add(text) else {
        state = .fields(line, block)
        return false
      }
      return try finishHead(HTTPResponse(line.status, block.fields, version: line.version))
    case .body(var reader):
      let part = try reader.next(bytes, at: &offset)
      if let data = part.data { events.append(.body(data)) }
      if let trailers = part.trailers { return finish(trailers: trailers) }
      state = .body(reader)
      return false
    case .switched:
      state = .switched
      return true
    case .failed(let error):
      throw error
    }
  }

  /// `HTTP/1.1 SP 200 SP reason`; some servers leave out the last space with the reason.
  private static func statusLine(_ line: [UInt8]) throws(HTTPError) -> StatusLine {
    let parts = line.split(separator: .space, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2, parts[1].count == 3, parts[1].allSatisfy(\.isDigit),
      let code = Int(String(decoding: parts[1], as: UTF8.self)), code >= 100, line.allSatisfy(\.isFieldContent)
    else { throw HTTPError(.badGateway, "the status line is not HTTP/1.1 and three digits") }
    return StatusLine(status: HTTPStatus(code), version: try RequestLine.version(parts[0]))
  }

  private mutating func finishHead(_ response: HTTPResponse) throws(HTTPError) -> Bool {
    let method = methods.first ?? .get
    if response.status == .switchingProtocols || (method == .connect && response.status.isSuccess) {
      events.append(.switched(response))
      methods.popFirst()
      state = .switched
      return true
    }
    if response.status.isInformational {
      events.append(.informational(response))
      state = .statusLine
      return false
    }
    let length = try Self.bodyLength(response, method)
    events.append(.head(response, body: length))
    let reader = BodyReader(length, limits: limits)
    guard reader.isEnded else {
      state = .body(reader)
      return false
    }
    return finish(trailers: [:])
  }

  /// RFC 9112 §6.3.
  private static func bodyLength(_ response: HTTPResponse, _ method: HTTPMethod) throws(HTTPError) -> HTTPBodyLength {
    if method == .head || response.status.neverHasBody { return .none }
    if try FieldLine.isChunked(response.fields, response.version) { return .chunked }
    guard let count = try FieldLine.contentLength(response.fields) else { return .untilClose }
    return count == 0 ? .none : .length(count)
  }

  private mutating func finish(trailers: HTTPFields) -> Bool {
    events.append(.end(trailers: trailers))
    methods.popFirst()
    state = .statusLine
    return true
  }
}

internal import CNGHTTP2
package import MartletPrimitives

/// One HTTP/2 connection (RFC 9113) through nghttp2, in memory only: bytes in, events and bytes out.
///
/// nghttp2's callbacks do nothing but queue. The driver calls `receive`, drains `pollEvent`, acts, and then takes the
/// output, as much as its socket wants: what it does not take stays in the streams' bounded outboxes.
/// Flow control is by hand: the peer may send more when the application says `consume`.
package final class HTTP2Session {
  package typealias StreamID = Int32
  package enum Role: Sendable { case server, client }

  package enum Event: Equatable, Sendable {
    case request(StreamID, HTTPRequest, body: HTTPBodyLength)
    /// A request that could not be read and was answered here with that status.
    case refused(StreamID, HTTPError)
    /// For clients; 1xx responses come before the final one.
    case response(StreamID, HTTPResponse, body: HTTPBodyLength)
    /// To be acknowledged with `consume`.
    case data(StreamID, Slice)
    /// The peer sent all. Comes once for every message that is complete.
    case end(StreamID, trailers: HTTPFields)
    /// There is room again after `write` answered `false`.
    case writable(StreamID)
    /// Both directions are complete; the stream is gone.
    case finished(StreamID)
    /// The stream ended early; it is gone.
    case reset(StreamID, HTTP2Code)
    case goAway(HTTP2Code)
  }

  internal let role: Role
  internal let limits: HTTP2Limits
  private let acceptsExtendedConnect: Bool
  internal var streams: [StreamID: HTTP2Stream] = [:]
  internal var events = Deque<Event>()
  /// Requests to answer once nghttp2 has returned.
  internal var refusals: [(StreamID, HTTPError)] = []
  internal var now = Instant.zero
  internal var isAbusive = false
  private var resets = RatePolicer()
  private var idleFrames = RatePolicer()
  private var session: OpaquePointer?
  private var failure: HTTP2Error?

  /// The settings are in the output at once.
  ///
  /// - Parameter acceptsExtendedConnect: tells clients that WebSockets may come over this connection (RFC 8441); a browser
  ///   that has been told opens no other connection for them.
  package init(_ role: Role, limits: HTTP2Limits = HTTP2Limits(), acceptsExtendedConnect: Bool = true) {
    self.role = role
    self.acceptsExtendedConnect = acceptsExtendedConnect
    self.limits = limits
    session = Self.makeSession(role, Unmanaged.passUnretained(self).toOpaque())
    sendSettings()
  }

  deinit { nghttp2_session_del(session) }

  private func sendSettings() {
    func setting(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
      nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(clamping: value))
    }
    var settings = [
      setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, min(limits.streamWindow, Int(Int32.max))),
      setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerListBytes),
    ]
    switch role {
    case .server:
      settings.append(setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams))
      // RFC 8441 §3.
      if acceptsExtendedConnect { settings.append(setting(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1)) }
    case .client:
      settings.append(setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
    }
    nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), settings, settings.count)
    nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(clamping: limits.connectionWindow))
  }

  /// Takes all of the peer's bytes and queues what they mean.
  ///
  /// - Throws: when the connection cannot go on; send the output (GOAWAY) and close.
  package func receive(_ bytes: RawSpan, now: Instant) throws(HTTP2Error) {
    if let failure { throw failure }
    self.now = now
    let taken = bytes.withUnsafeBytes { nghttp2_session_mem_recv(session, $0.bindMemory(to: UInt8.self).baseAddress, $0.count) }
    for (id, error) in exchange(&refusals, with: []) {
      respond(id, HTTPResponse(error.status), ends: true)
      events.append(.refused(id, error))
    }
    if isAbusive {
      nghttp2_session_terminate_session(session, HTTP2Code.enhanceYourCalm.rawValue)
      throw fail("the peer resets streams or sends empty frames faster than any client would")
    }
    guard taken >= 0 else {
      throw fail(
        taken == Int(NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue)
          ? "not the HTTP/2 preface" : String(cString: nghttp2_strerror(Int32(clamping: taken))))
    }
  }

  private func fail(_ reason: String) -> HTTP2Error {
    let error = HTTP2Error(reason)
    failure = error
    return error
  }

  package func pollEvent() -> Event? { events.popFirst() }

  /// Taking output makes events as well.
  package var hasEvents: Bool { !events.isEmpty }

  /// Bytes to send, in order; empty when there are none or the peer's windows are full.
  ///
  /// - Parameter maximum: about how many; taken in whole frames of at most 16 KiB.
  package func takeOutput(maximum: Int = 64 * 1024) -> [UInt8] {
    var output: [UInt8] = []
    while output.count < maximum {
      var data: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &data)
      guard count > 0, let data else { break }
      output.append(contentsOf: UnsafeBufferPointer(start: data, count: count))
    }
    return output
  }

  /// Nothing is left to read or write: close the transport.
  package var isFinished: Bool { nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0 }

  package var openStreams: Int { streams.count }

  /// Sends the head of a response; a 1xx one goes before it. Ignored for streams that are gone.
  ///
  /// - Parameter ends: no content follows.
  package func respond(_ id: StreamID, _ response: HTTPResponse, ends: Bool) {
    guard let stream = streams[id] else { return }
    let pseudo = [(":status", String(response.status.code))]
    response.fields.withHeaderList(pseudo) { list, count in
      if response.status.isInformational {
        nghttp2_submit_headers(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, nil, list, count, nil)
      } else if ends {
        nghttp2_submit_response(session, id, list, count, nil)
      } else {
        stream.outbox.isDeferred = false
        var provider = Self.dataProvider
        nghttp2_submit_response(session, id, list, count, &provider)
      }
    }
  }

  /// Begins a request, for clients; `nil` when the connection takes none any more.
  package func request(_ request: HTTPRequest, ends: Bool) -> StreamID? {
    guard nghttp2_session_check_request_allowed(session) != 0 else { return nil }
    var pseudo = [(":method", request.method.rawValue)]
    if request.method != .connect || request.connectProtocol != nil {
      let scheme = if case .absolute(let scheme) = request.target.form { scheme } else { "https" }
      let path = request.target.form == .asterisk ? "*" : request.target.rawPath + (request.target.rawQuery.map { "?" + $0 } ?? "")
      pseudo += [(":scheme", scheme), (":path", path)]
    }
    if let name = request.connectProtocol { pseudo.append((":protocol", name)) }
    pseudo.append((":authority", request.authority ?? ""))
    let id = request.fields.withHeaderList(pseudo) { list, count -> StreamID in
      guard !ends else { return nghttp2_submit_request(session, nil, list, count, nil, nil) }
      var provider = Self.dataProvider
      return nghttp2_submit_request(session, nil, list, count, &provider, nil)
    }
    guard id > 0 else { return nil }
    streams[id] = HTTP2Stream()
    return id
  }

  /// Queues content behind the head. Nothing is taken for a stream that is gone or has ended.
  ///
  /// - Returns: `false` when more than `HTTP2Limits.outbox` bytes wait, because the peer's window is full or the output was
  ///   not taken: stop writing until `.writable`.
  @discardableResult package func write(_ id: StreamID, _ slice: Slice) -> Bool {
    guard let stream = streams[id], !stream.outbox.isEnded else { return false }
    stream.outbox.append(slice)
    resume(id, stream)
    if stream.outbox.count > limits.outbox { stream.outbox.isAwaited = true }
    return !stream.outbox.isAwaited
  }

  /// `.writable` follows once less waits on the stream, as after a `write` that answered false.
  package func notifyWhenWritable(_ id: StreamID) {
    if let stream = streams[id], stream.outbox.count > 0 { stream.outbox.isAwaited = true }
  }

  /// How many bytes a writer that only writes what fits may write now.
  package func room(_ id: StreamID) -> Int {
    guard let stream = streams[id], !stream.outbox.isEnded else { return 0 }
    return max(0, limits.outbox - stream.outbox.count)
  }

  /// Bytes that wait on a stream.
  package func queued(_ id: StreamID) -> Int { streams[id]?.outbox.count ?? 0 }

  /// Ends the content, with trailers if there are any.
  package func end(_ id: StreamID, trailers: HTTPFields = [:]) {
    guard let stream = streams[id], !stream.outbox.isEnded else { return }
    stream.outbox.isEnded = true
    stream.outbox.trailers = trailers
    resume(id, stream)
  }

  private func resume(_ id: StreamID, _ stream: HTTP2Stream) {
    guard stream.outbox.isDeferred else { return }
    stream.outbox.isDeferred = false
    nghttp2_session_resume_data(session, id)
  }

  /// The application has read `count` bytes of content: the peer may send as many more.
  package func consume(_ id: StreamID, _ count: Int) {
    guard let stream = streams[id] else { return }
    let released = min(max(count, 0), stream.unconsumed)
    guard released > 0 else { return }
    stream.unconsumed -= released
    nghttp2_session_consume(session, id, released)
  }

  package func reset(_ id: StreamID, _ code: HTTP2Code = .cancel) {
    guard let stream = streams[id] else { return }
    stream.resetByUs = true
    nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
  }

  /// Announces that no new streams are taken; those that are open go on (RFC 9113 §6.8). Call `shutDown` a round trip later.
  package func announceShutdown() { nghttp2_submit_shutdown_notice(session) }

  /// Takes no new streams and ends once those that are open are done.
  package func shutDown(_ code: HTTP2Code = .noError) {
    let last = nghttp2_session_get_last_proc_stream_id(session)
    nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, code.rawValue, nil, 0)
  }

  // What the callbacks need.

  internal func countReset() {
    let burst = RatePolicer.time(for: limits.resetBurst, at: limits.resetsPerSecond)
    isAbusive = !resets.take(1, rate: limits.resetsPerSecond, burst: burst, now: now) || isAbusive
  }

  internal func countIdleFrame() {
    let burst = RatePolicer.time(for: limits.idleFrameBurst, at: limits.idleFramesPerSecond)
    isAbusive = !idleFrames.take(1, rate: limits.idleFramesPerSecond, burst: burst, now: now) || isAbusive
  }

  /// Content of a stream that is gone is nobody's to consume any more, but it still fills the connection's window.
  internal func release(_ stream: HTTP2Stream) {
    if stream.unconsumed > 0 { nghttp2_session_consume_connection(session, stream.unconsumed) }
  }
}

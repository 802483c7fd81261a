internal import CNGHTTP2
internal import MartletPrimitives

/// What nghttp2 tells us. Each callback only notes and queues.
extension HTTP2Session {
  private static func owner(_ pointer: UnsafeMutableRawPointer?) -> HTTP2Session? {
    pointer.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
  }

  internal static func makeSession(_ role: Role, _ owner: UnsafeMutableRawPointer) -> OpaquePointer? {
    var (callbacks, option, session): (OpaquePointer?, OpaquePointer?, OpaquePointer?)
    nghttp2_session_callbacks_new(&callbacks)
    nghttp2_option_new(&option)
    defer {
      nghttp2_session_callbacks_del(callbacks)
      nghttp2_option_del(option)
    }
    nghttp2_option_set_no_auto_window_update(option, 1)
    nghttp2_option_set_no_closed_streams(option, 1)
    install(callbacks)
    switch role {
    case .server: nghttp2_session_server_new2(&session, callbacks, owner, option)
    case .client: nghttp2_session_client_new2(&session, callbacks, owner, option)
    }
    precondition(session != nil, "nghttp2 makes a session while there is memory")
    return session
  }

  private static func install(_ callbacks: OpaquePointer?) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
      if let frame { HTTP2Session.owner(user)?.beginHeaders(frame.pointee) }
      return 0
    }
    nghttp2_session_callbacks_set_on_header_callback(callbacks) { _, frame, name, nameLength, value, valueLength, _, user in
      guard let this = HTTP2Session.owner(user), let frame, let stream = this.streams[frame.pointee.hd.stream_id] else { return 0 }
      let name = String(decoding: UnsafeBufferPointer(start: name, count: nameLength), as: UTF8.self)
      let value = String(decoding: UnsafeBufferPointer(start: value, count: valueLength), as: UTF8.self)
      stream.incoming.add(name, value, this.limits)
      return 0
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, data, count, user in
      guard let this = HTTP2Session.owner(user), let stream = this.streams[id] else { return 0 }
      stream.unconsumed += count
      guard !stream.isRefused else { return 0 }
      this.events.append(.data(id, Slice(Array(UnsafeBufferPointer(start: data, count: count)))))
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
      if let frame { HTTP2Session.owner(user)?.received(frame.pointee) }
      return 0
    }
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
      if let frame { HTTP2Session.owner(user)?.sent(frame.pointee) }
      return 0
    }
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
      HTTP2Session.owner(user)?.closed(id, HTTP2Code(rawValue: code))
      return 0
    }
  }

  private func beginHeaders(_ frame: nghttp2_frame) {
    let id = frame.hd.stream_id
    if let stream = streams[id] {
      stream.incoming = .init()
    } else if role == .server {
      streams[id] = HTTP2Stream()
    }
  }

  private func received(_ frame: nghttp2_frame) {
    let id = frame.hd.stream_id
    let ends = frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      guard let stream = streams[id] else { return }
      receivedHeaders(id, stream, ends: ends)
    case NGHTTP2_DATA.rawValue:
      if ends { finish(id, trailers: [:]) } else if frame.hd.length == 0 { countIdleFrame() }
    case NGHTTP2_GOAWAY.rawValue: events.append(.goAway(HTTP2Code(rawValue: frame.goaway.error_code)))
    case NGHTTP2_PING.rawValue, NGHTTP2_SETTINGS.rawValue, NGHTTP2_PRIORITY.rawValue, NGHTTP2_WINDOW_UPDATE.rawValue: countIdleFrame()
    default: break
    }
  }

  private func receivedHeaders(_ id: StreamID, _ stream: HTTP2Stream, ends: Bool) {
    let list = stream.incoming
    stream.incoming = .init()
    // A second header list without a status is the trailers (RFC 9113 §8.1).
    if stream.sawHead { return finish(id, trailers: list.overflowed ? [:] : list.fields) }
    switch role {
    case .server:
      stream.sawHead = true
      do throws(HTTPError) {
        events.append(.request(id, try HTTPRequest(list), body: Self.bodyLength(list.fields, ends: ends)))
      } catch {
        stream.sawEnd = true
        stream.isRefused = true
        refusals.append((id, error))
        return
      }
    case .client:
      let status = HTTPStatus(Int(list.pseudo[":status"] ?? "") ?? 502)
      stream.sawHead = !status.isInformational
      events.append(.response(id, HTTPResponse(status, list.fields, version: .http2), body: Self.bodyLength(list.fields, ends: ends)))
    }
    if ends { finish(id, trailers: [:]) }
  }

  /// nghttp2 has checked that Content-Length is one number and that the content is as long.
  private static func bodyLength(_ fields: HTTPFields, ends: Bool) -> HTTPBodyLength {
    if ends { return .none }
    guard let text = fields.first("Content-Length"), let length = Int(text) else { return .chunked }
    return .length(length)
  }

  /// RFC 9113 §8.1: with NO_ERROR behind a complete response a client stops sending content. Not earlier: nghttp2 drops
  /// the response of a stream that is about to be reset.
  private func sent(_ frame: nghttp2_frame) {
    guard UInt32(frame.hd.type) == NGHTTP2_HEADERS.rawValue, streams[frame.hd.stream_id]?.isRefused == true else { return }
    reset(frame.hd.stream_id, .noError)
  }

  private func finish(_ id: StreamID, trailers: HTTPFields) {
    guard let stream = streams[id], !stream.sawEnd else { return }
    stream.sawEnd = true
    events.append(.end(id, trailers: trailers))
  }

  private func closed(_ id: StreamID, _ code: HTTP2Code) {
    guard let stream = streams.removeValue(forKey: id) else {
      if code != .noError { countReset() }
      return
    }
    release(stream)
    guard !stream.isRefused else { return }
    if code != .noError, !stream.resetByUs { countReset() }
    events.append(code == .noError ? .finished(id) : .reset(id, code))
  }

  internal static var dataProvider: nghttp2_data_provider {
    nghttp2_data_provider(source: nghttp2_data_source(fd: 0)) { session, id, buffer, room, flags, _, user in
      guard let this = HTTP2Session.owner(user), let buffer, let flags, let stream = this.streams[id] else {
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
      }
      let count = stream.outbox.read(into: buffer, room: room)
      if stream.outbox.isAwaited, stream.outbox.count <= this.limits.outbox / 2 {
        stream.outbox.isAwaited = false
        this.events.append(.writable(id))
      }
      guard stream.outbox.count == 0 else { return count }
      if stream.outbox.isEnded {
        flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if !stream.outbox.trailers.isEmpty {
          flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
          stream.outbox.trailers.withHeaderList([]) { list, total in _ = nghttp2_submit_trailer(session, id, list, total) }
        }
        return count
      }
      guard count == 0 else { return count }
      stream.outbox.isDeferred = true
      return Int(NGHTTP2_ERR_DEFERRED.rawValue)
    }
  }
}

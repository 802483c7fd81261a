internal import MartletHTTP
internal import MartletPrimitives
internal import Synchronization

/// Connects, reads, and connects again (HTML Living Standard §9.2.3), until there is nothing more to hope for.
internal struct EventSourceReader: ~Copyable {
  private let url: String
  private let options: EventSource.Options
  private let feed: EventFeed
  private let client: HTTPClient
  private var lastEventID: String
  private var retry: TimeSpan
  private var backoff: Backoff
  private var random = SystemRandomNumberGenerator()

  private enum Outcome {
    /// Try again; an error says why nothing was read.
    case lost(String)
    case ended
    case failed(EventSource.Failure)
  }

  internal init(_ url: String, _ options: EventSource.Options, _ feed: EventFeed) {
    (self.url, self.options, self.feed) = (url, options, feed)
    client = HTTPClient(options.http)
    lastEventID = options.lastEventID
    retry = max(.milliseconds(1), TimeSpan(options.retry))
    backoff = Self.backoff(retry, options)
    feed.state.withLock { $0.lastEventID = options.lastEventID }
  }

  /// The wait is at least what the server asked for, and up to twice as long.
  private static func backoff(_ retry: TimeSpan, _ options: EventSource.Options) -> Backoff {
    let doubled = retry * 2
    return Backoff(initial: doubled, maximum: max(doubled, TimeSpan(options.maximumRetry)))
  }

  internal mutating func run() async {
    while !Task.isCancelled {
      switch await connect() {
      case .ended: return feed.finish(nil)
      case .failed(let failure): return feed.finish(failure)
      case .lost(let reason):
        if let limit = options.attempts, backoff.attempts >= max(1, limit) { return feed.finish(.init(.unreachable, reason)) }
      }
      feed.state.withLock { if $0.readyState == .open { $0.readyState = .connecting } }
      let wait = backoff.next(using: &random)
      try? await Task.sleep(nanoseconds: UInt64(max(0, wait.nanoseconds)))
    }
    feed.finish(.cancelled)
  }

  private var request: HTTPClient.Request {
    var request = HTTPClient.Request(url, headers: options.headers)
    request.headers["Accept"] = "text/event-stream"
    request.headers["Cache-Control"] = "no-store"
    request.headers["Accept-Encoding"] = options.gzip ? "gzip" : "identity"
    if !lastEventID.isEmpty { request.headers["Last-Event-ID"] = lastEventID }
    request.timeouts.silence = options.silence
    return request
  }

  private mutating func connect() async -> Outcome {
    do throws(HTTPClient.Failure) {
      let response = try await client.send(request)
      if let refusal = refusal(of: response) { return refusal }
      let encoding = response.headers["Content-Encoding"]?.lowercased() ?? "identity"
      guard ["gzip", "x-gzip", "identity"].contains(encoding) else {
        return .failed(.init(.notAnEventStream, "\(response.url) answered in the content coding \(encoding.prefix(40))"))
      }
      feed.state.withLock { if $0.readyState == .connecting { $0.readyState = .open } }
      backoff.reset()
      return try await read(response.body, isCompressed: encoding != "identity")
    } catch {
      switch error.code {
      case .invalid, .tooManyRedirects, .insecureRedirect, .forbiddenAddress: return .failed(.init(.invalid, error.description))
      default: return .lost(error.description)
      }
    }
  }

  /// `nil` for an event stream.
  private func refusal(of response: HTTPClient.Response) -> Outcome? {
    switch response.status {
    case 204: return .ended
    case 200: break
    case let status where options.retriedStatuses.contains(status): return .lost("\(response.url) answered \(status)")
    case let status: return .failed(.init(.refused, "\(response.url) answered \(status)", status: status))
    }
    let type = response.headers["Content-Type"] ?? ""
    guard MediaType.essence(of: type) == "text/event-stream" else {
      return .failed(.init(.notAnEventStream, "\(response.url) answered with \(type.isEmpty ? "no type" : "\"\(type.prefix(80))\"")"))
    }
    return nil
  }

  private mutating func read(_ body: HTTPClient.Response.Body, isCompressed: Bool) async throws(HTTPClient.Failure) -> Outcome {
    var limits = EventStreamParser.Limits()
    limits.line = max(128, options.maximumLine)
    limits.event = limits.line.multipliedReportingOverflow(by: 4).overflow ? .max : limits.line * 4
    var parser = EventStreamParser(lastEventID: lastEventID, limits: limits)
    let inflater = isCompressed ? Inflater(.gzip, maximum: 0) : nil
    for try await chunk in body {
      do throws(ParseError) {
        var (offset, events) = (0, [ServerSentEvent]())
        while offset < chunk.count {
          let end = min(chunk.count, offset + Self.step)
          var plain = Array(chunk[offset..<end])
          if let inflater { plain = try Self.inflate(plain, inflater) }
          try parser.receive(plain.span.bytes, into: &events)
          offset = end
          note(parser)
          do { try await feed.put(events, lastEventID: lastEventID) } catch { return .ended }
          events.removeAll()
        }
      } catch {
        if case .limit = error { return .failed(.init(.tooLarge, "\(error)")) }
        return .failed(.init(.notAnEventStream, "\(error)"))
      }
    }
    return .lost("the server ended the stream")
  }

  /// deflate makes at most about a thousand bytes of one, so that a step of compressed input cannot fill the memory.
  private static let step = 4096

  private static func inflate(_ bytes: [UInt8], _ inflater: Inflater) throws(ParseError) -> [UInt8] {
    var plain: [UInt8] = []
    // The stream has no end, and so its sum no limit.
    inflater.reset(maximum: step * 1100, keepingWindow: true)
    try inflater.decompress(bytes.span.bytes, into: &plain)
    return plain
  }

  private mutating func note(_ parser: EventStreamParser) {
    lastEventID = parser.lastEventID
    guard let wanted = parser.retry.map({ max(.milliseconds(1), $0) }), wanted != retry else { return }
    retry = wanted
    backoff = Self.backoff(wanted, options)
  }
}

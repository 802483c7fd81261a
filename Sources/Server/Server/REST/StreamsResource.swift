internal import MartletCodecs
internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/streams`: what is published, in which form, and who watches.
internal enum StreamsResource {
  private static let track = APISchema.object([
    .always("kind", .string, "video, audio or data"), .always("codec", .string, "H264, AAC, …"),
    .sometimes("codec_string", .string, "As in MIME types (RFC 6381): avc1.42c01f"),
    .sometimes("width", .integer, "Pixels"), .sometimes("height", .integer, "Pixels"), .sometimes("sample_rate", .integer, "Hz"),
    .sometimes("channels", .integer, "Of sound"),
  ])

  private static let publisher = APISchema.object([
    .always("client", .string, "For DELETE /api/v1/clients/{id}"), .always("transport", .string, "rtmp, http-flv, …"),
    .always("address", .string, "Of the peer"), .always("since", .string, "RFC 3339"), .sometimes("user", .string, "Of its token"),
    .sometimes("user_agent", .string, "As the peer calls itself"),
  ])

  private static let stream = APISchema.object([
    .always("path", .string, "APP/NAME"), .always("live", .boolean, "False within the grace period"),
    .sometimes("publisher", publisher, "Who publishes"), .always("tracks", .array(track), "In their order"),
    .always("bitrate", .integer, "Bits of the last second"), .always("frame_rate", .number, "Pictures of the last second"),
    .always("bytes", .integer, "Received since the stream began"), .always("frames", .integer, "Received since the stream began"),
    .always("publishes", .integer, "How often somebody began to publish"),
    .always(
      "viewers", .object([.always("total", .integer, "All of them"), .always("by_transport", .map(.integer), "Each")]), "Who watches"),
  ])

  static let routes = [
    APIRoute(.get, "/api/v1/streams", "All streams", response: .object([.always("streams", .array(stream), "By path")])) {
      endpoint, exchange, _ in
      find(endpoint, nil) { streams in exchange.respond(.ok, json: ["streams": .array(streams)]) }
    },
    APIRoute(.get, "/api/v1/streams/{path...}", "One stream", response: stream) { endpoint, exchange, parameters in
      withPath(exchange, parameters) { path in
        find(endpoint, path) { streams in
          if let stream = streams.first {
            exchange.respond(.ok, json: stream)
          } else {
            exchange.refuse(.notFound, "nobody publishes \(path)")
          }
        }
      }
    },
    APIRoute(.delete, "/api/v1/streams/{path...}", "Stops a stream: its publisher is closed", status: .noContent, response: nil) {
      endpoint, exchange, parameters in
      withPath(exchange, parameters) { path in stop(endpoint, exchange, path) }
    },
  ]

  private static func withPath(_ exchange: HTTPExchange, _ parameters: Router.Parameters, _ body: (StreamPath) -> Void) {
    do throws(ParseError) { body(try StreamPath(parameters["path"])) } catch { exchange.refuse(.badRequest, "\(error)") }
  }

  private static func stop(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ path: StreamPath) {
    endpoint.gathering.ask { context in
      context.service(MediaHub.self).kick(.administrator) { $0.role == .publisher && $0.path == path }
    } then: { counts in
      if counts.reduce(0, +) > 0 { exchange.respond(.noContent) } else { exchange.refuse(.notFound, "nobody publishes \(path)") }
    }
  }

  private struct Part: Sendable {
    var streams: [StreamSnapshot]
    var viewers: [StreamPath: [String: Int]]
  }

  /// Streams are known to their home worker, viewers to each their own.
  private static func find(_ endpoint: RESTEndpoint, _ path: StreamPath?, then: @escaping ([JSON]) -> Void) {
    endpoint.gathering.ask { context in
      let hub = context.service(MediaHub.self)
      return Part(streams: hub.streamSnapshots.filter { path == nil || $0.path == path }, viewers: hub.viewerCounts)
    } then: { parts in
      let viewers = parts.reduce(into: [:]) { total, part in
        total.merge(part.viewers) { $0.merging($1, uniquingKeysWith: +) }
      }
      let streams = parts.flatMap(\.streams).sorted { $0.path.text < $1.path.text }
      then(streams.map { json($0, viewers[$0.path] ?? [:]) })
    }
  }

  private static func json(_ stream: StreamSnapshot, _ viewers: [String: Int]) -> JSON {
    var object = JSON.Object()
    object["path"] = .string(stream.path.text)
    object["live"] = .bool(stream.publisher != nil)
    if let publisher = stream.publisher { object["publisher"] = json(publisher) }
    object["tracks"] = .array(stream.formats.map(json))
    object["bitrate"] = .int(Int64(stream.publisher == nil ? 0 : stream.statistics.bitrate))
    object["frame_rate"] = .double(stream.publisher == nil ? 0 : (stream.statistics.frameRate * 100).rounded() / 100)
    object["bytes"] = .int(Int64(stream.statistics.bytes))
    object["frames"] = .int(Int64(stream.statistics.frames))
    object["publishes"] = .int(Int64(stream.statistics.publishes))
    var transports = JSON.Object()
    for (name, count) in viewers.sorted(by: { $0.key < $1.key }) { transports[name] = .int(Int64(count)) }
    object["viewers"] = ["total": .int(Int64(viewers.values.reduce(0, +))), "by_transport": .object(transports)]
    return .object(object)
  }

  private static func json(_ publisher: ClientInfo) -> JSON {
    var object = JSON.Object()
    object["client"] = .string(publisher.id)
    object["transport"] = .string(publisher.transport)
    object["address"] = .string("\(publisher.remote)")
    object["since"] = .string(publisher.since.iso8601)
    if let user = publisher.user { object["user"] = .string(user) }
    if let agent = publisher.userAgent { object["user_agent"] = .string(agent) }
    return .object(object)
  }

  private static func json(_ format: TrackFormat) -> JSON {
    var object = JSON.Object()
    object["kind"] = .string(format.kind.rawValue)
    object["codec"] = .string(format.codec.rawValue)
    if !format.codecString.isEmpty { object["codec_string"] = .string(format.codecString) }
    let numbers = [("width", format.width), ("height", format.height), ("sample_rate", format.sampleRate), ("channels", format.channels)]
    for (name, value) in numbers where value > 0 { object[name] = .int(Int64(value)) }
    return .object(object)
  }
}

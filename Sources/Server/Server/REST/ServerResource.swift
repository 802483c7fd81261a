internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb
internal import Synchronization

/// `/api/v1/server`: what runs here.
internal enum ServerResource {
  private static let listener = APISchema.object([
    .always("protocol", .string, "http, https, rtmp, rtmps, webrtc, turn or turns"),
    .always("address", .string, "Of this machine; 0.0.0.0 and :: are all"),
    .always("port", .integer, "As the kernel chose it where 0 was configured"),
  ])

  static let routes = [
    APIRoute(
      .get, "/api/v1/server", "What runs here, and since when",
      response: .object([
        .always("name", .string, "martlet"), .always("version", .string, "Of the program"),
        .always("started", .string, "RFC 3339"), .always("uptime", .number, "Seconds"),
        .always("workers", .integer, "Threads with an event loop"), .always("ready", .boolean, "Takes new connections"),
        .always("connections", .integer, "Open now"), .always("connections_refused", .integer, "Since the start"),
        .always("streams", .integer, "Published now, or within their grace period"),
        .always("listeners", .array(listener), "Where it listens"),
        .always("warnings", .array(.string), "What an administrator should know"),
      ])
    ) { endpoint, exchange, _ in get(endpoint, exchange) },
    APIRoute(
      .get, "/api/v1/https", "Where this server speaks HTTPS: for pages that need a secure context. Open to everybody",
      response: .object([.sometimes("port", .integer, "Absent where HTTPS is off")]), isOpen: true
    ) { endpoint, exchange, _ in
      let bound = endpoint.shared.state.listeners.withLock { $0?.bound } ?? []
      exchange.respond(.ok, json: bound.first { $0.name == "https" }.map { ["port": .int(Int64($0.address.port))] } ?? [:])
    },
  ]

  private static func get(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    let shared = endpoint.shared
    let milliseconds = endpoint.context.wallTime.milliseconds - shared.started.milliseconds
    let listeners = shared.state.listeners.withLock { $0 }
    let warnings = shared.state.warnings.withLock { $0 }
    exchange.respond(
      .ok,
      json: [
        "name": "martlet", "version": .string(MartletVersion.number), "started": .string(shared.started.iso8601),
        "uptime": .double(Double(max(0, milliseconds)) / 1000), "workers": .int(Int64(shared.loops.count)),
        "ready": .bool(shared.state.isReady.load(ordering: .acquiring)), "connections": .int(Int64(shared.census.total)),
        "connections_refused": .int(Int64(shared.census.refused)), "streams": .int(Int64(shared.directory.count)),
        "listeners": .array(listeners?.bound.map { json($0.name, $0.address) } ?? []),
        "warnings": .array(warnings.map { .string($0) }),
      ])
  }

  private static func json(_ name: String, _ address: SocketAddress) -> JSON {
    ["protocol": .string(name), "address": .string("\(address.ip)"), "port": .int(Int64(address.port))]
  }
}

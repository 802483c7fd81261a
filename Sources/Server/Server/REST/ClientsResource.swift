internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/clients`: who publishes and who watches.
internal enum ClientsResource {
  private static let client = APISchema.object([
    .always("id", .string, "Unique within the server's run"), .always("role", .string, "publisher or viewer"),
    .always("transport", .string, "rtmp, http-flv, …"), .always("path", .string, "The stream"), .always("address", .string, "Of the peer"),
    .always("since", .string, "RFC 3339"), .always("bytes_sent", .integer, "To a viewer"),
    .always("skips", .integer, "How often a viewer lagged so far that it went on at a later key frame"),
    .sometimes("user", .string, "Of its token"), .sometimes("user_agent", .string, "As the peer calls itself"),
  ])

  /// Of one answer: a server with more viewers is looked at through its streams and metrics.
  private static let limit = 10_000

  static let routes = [
    APIRoute(
      .get, "/api/v1/clients", "Publishers and viewers",
      response: .object([.always("clients", .array(client), "Oldest first"), .always("total", .integer, "Also beyond those listed")])
    ) { endpoint, exchange, _ in list(endpoint, exchange) },
    APIRoute(.delete, "/api/v1/clients/{id}", "Closes a client", status: .noContent, response: nil) { endpoint, exchange, parameters in
      kick(endpoint, exchange, parameters["id"])
    },
  ]

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    endpoint.gathering.ask { context in
      context.service(MediaHub.self).clientSnapshots
    } then: { parts in
      let all = parts.flatMap { $0 }.sorted { ($0.client.since, $0.client.id) < ($1.client.since, $1.client.id) }
      exchange.respond(.ok, json: ["clients": .array(all.prefix(limit).map(json)), "total": .int(Int64(all.count))])
    }
  }

  private static func kick(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ id: String) {
    endpoint.gathering.ask { context in
      context.service(MediaHub.self).kick(.administrator) { $0.id == id }
    } then: { counts in
      if counts.reduce(0, +) > 0 { exchange.respond(.noContent) } else { exchange.refuse(.notFound, "there is no client \(id)") }
    }
  }

  private static func json(_ snapshot: ClientSnapshot) -> JSON {
    let client = snapshot.client
    var object = JSON.Object()
    object["id"] = .string(client.id)
    object["role"] = .string(client.role.rawValue)
    object["transport"] = .string(client.transport)
    object["path"] = .string(client.path.text)
    object["address"] = .string("\(client.remote)")
    object["since"] = .string(client.since.iso8601)
    object["bytes_sent"] = .int(Int64(snapshot.bytesSent))
    object["skips"] = .int(Int64(snapshot.skips))
    if let user = client.user { object["user"] = .string(user) }
    if let agent = client.userAgent { object["user_agent"] = .string(agent) }
    return .object(object)
  }
}

internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/clients`: who publishes, who watches, and who takes part in channels.
internal enum ClientsResource {
  private static let client = APISchema.object([
    .always("id", .string, "Unique within the server's run"), .always("role", .string, "publisher, viewer or subscriber"),
    .always("transport", .string, "rtmp, http-flv, …"), .sometimes("path", .string, "The stream"),
    .sometimes("channels", .array(.string), "Of a subscriber"), .always("address", .string, "Of the peer"),
    .always("since", .string, "RFC 3339"), .sometimes("bytes_sent", .integer, "To a viewer"),
    .sometimes("skips", .integer, "How often a viewer lagged so far that it went on at a later key frame"),
    .sometimes("user", .string, "Of its token"), .sometimes("user_agent", .string, "As the peer calls itself"),
  ])

  /// Of one answer: a server with more viewers is looked at through its streams and metrics.
  private static let limit = 10_000

  static let routes = [
    APIRoute(
      .get, "/api/v1/clients", "Publishers, viewers and subscribers",
      response: .object([.always("clients", .array(client), "Oldest first"), .always("total", .integer, "Also beyond those listed")])
    ) { endpoint, exchange, _ in list(endpoint, exchange) },
    APIRoute(.delete, "/api/v1/clients/{id}", "Closes a client", status: .noContent, response: nil) { endpoint, exchange, parameters in
      kick(endpoint, exchange, parameters["id"])
    },
  ]

  private struct Subscriber: Sendable {
    let client: ChannelClient
    let channels: [ChannelName]
  }

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    endpoint.gathering.ask { context in
      (
        context.service(MediaHub.self).clientSnapshots,
        context.service(MessageHub.self).localSessions.map { Subscriber(client: $0.client, channels: $0.channels) }
      )
    } then: { parts in
      var all = parts.flatMap(\.0).map { ($0.client.since, $0.client.id, json($0)) }
      all += parts.flatMap(\.1).map { ($0.client.since, $0.client.id, json($0)) }
      all.sort { ($0.0, $0.1) < ($1.0, $1.1) }
      exchange.respond(.ok, json: ["clients": .array(all.prefix(limit).map(\.2)), "total": .int(Int64(all.count))])
    }
  }

  private static func kick(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ id: String) {
    endpoint.gathering.ask { context in
      context.service(MediaHub.self).kick(.administrator) { $0.id == id }
        + context.service(MessageHub.self).kick(.administrator) { $0.id == id }
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

  private static func json(_ subscriber: Subscriber) -> JSON {
    let client = subscriber.client
    var object = JSON.Object()
    object["id"] = .string(client.id)
    object["role"] = "subscriber"
    object["transport"] = .string(client.transport)
    object["channels"] = .array(subscriber.channels.map { .string($0.text) })
    object["address"] = .string("\(client.remote)")
    object["since"] = .string(client.since.iso8601)
    if let user = client.user { object["user"] = .string(user) }
    if let agent = client.userAgent { object["user_agent"] = .string(agent) }
    return .object(object)
  }
}

internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN
internal import MartletWeb

/// `/api/v1/turn/allocations`: who relays through this server, and how much.
internal enum TURNResource {
  private static let allocation = APISchema.object([
    .always("id", .string, "Of this server"), .always("user", .string, "Whom the quotas count it for"),
    .always("client", .string, "Where the client is seen"), .always("transport", .string, "How it comes: udp, dtls, tcp or tls"),
    .always("relay_transport", .string, "What is relayed: udp or tcp"), .always("relayed", .array(.string), "The relayed addresses"),
    .always("age", .number, "Seconds"), .always("expires_in", .number, "Seconds, unless it is refreshed"),
    .always("permissions", .integer, "Peer addresses, also those that have expired lately"), .always("channels", .integer, "Bound"),
    .always("packets_sent", .integer, "From the client to peers"), .always("bytes_sent", .integer, "From the client to peers"),
    .always("packets_received", .integer, "From peers to the client"), .always("bytes_received", .integer, "From peers to the client"),
    .always("dropped", .integer, "Packets beyond its bandwidth"),
  ])

  /// Of one answer.
  private static let limit = 2000

  static let routes = [
    APIRoute(
      .get, "/api/v1/turn/allocations", "Allocations of the TURN server, the oldest first. Query: user, for those of one",
      response: .object([
        .always("allocations", .array(allocation), "At most \(limit)"), .always("total", .integer, "Also beyond those listed"),
        .always("users", .map(.integer), "Allocations by user"),
      ])
    ) { endpoint, exchange, _ in list(endpoint, exchange) },
    APIRoute(.delete, "/api/v1/turn/allocations/{allocation}", "Closes an allocation", status: .noContent, response: nil) {
      endpoint, exchange, parameters in close(endpoint, exchange, parameters["allocation"])
    },
  ]

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    let user = exchange.request.target.query.first("user")
    endpoint.gathering.ask { context in
      context.service(TURNListener.self).reports.filter { user == nil || $0.user == user }
    } then: { parts in
      let all = parts.joined().sorted { ($1.age, $0.id) < ($0.age, $1.id) }
      var users = JSON.Object()
      for (user, reports) in Dictionary(grouping: all, by: \.user).sorted(by: { $0.key < $1.key }).prefix(limit) {
        users[user] = .int(Int64(reports.count))
      }
      exchange.respond(
        .ok,
        json: ["allocations": .array(all.prefix(limit).map(json)), "total": .int(Int64(all.count)), "users": .object(users)])
    }
  }

  private static func close(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ id: String) {
    endpoint.gathering.ask { context in
      context.service(TURNListener.self).closeAllocation(id: id)
    } then: { closed in
      if closed.contains(true) { exchange.respond(.noContent) } else { exchange.refuse(.notFound, "there is no allocation \(id)") }
    }
  }

  private static func json(_ report: TURNAllocationReport) -> JSON {
    var object = JSON.Object()
    object["id"] = .string(report.id)
    object["user"] = .string(report.user)
    object["client"] = .string("\(report.client)")
    object["transport"] = .string(report.transport)
    object["relay_transport"] = .string(report.relayTransport)
    object["relayed"] = .array(report.relayed.map { .string("\($0)") })
    object["age"] = .double(report.age.seconds)
    object["expires_in"] = .double(report.remaining.seconds)
    object["permissions"] = .int(Int64(report.permissions))
    object["channels"] = .int(Int64(report.channels))
    object["packets_sent"] = .int(Int64(report.usage.packetsSent))
    object["bytes_sent"] = .int(Int64(report.usage.bytesSent))
    object["packets_received"] = .int(Int64(report.usage.packetsReceived))
    object["bytes_received"] = .int(Int64(report.usage.bytesReceived))
    object["dropped"] = .int(Int64(report.usage.dropped))
    return .object(object)
  }
}

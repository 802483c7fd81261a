internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/channels`: what there is, how many take it, and publishing many messages at once.
internal enum ChannelsResource {
  private static let channel = APISchema.object([
    .always("name", .string, "The channel"), .always("cursor", .string, "EPOCH:OFFSET of its newest message"),
    .always("messages", .integer, "In its history"), .always("bytes", .integer, "Of its history, about"),
    .always("published", .integer, "Since it is in memory"), .always("members", .integer, "Present in it"),
    .always(
      "subscribers", .object([.always("total", .integer, "All of them"), .always("by_transport", .map(.integer), "Each")]), "Who listens"),
  ])

  private static let message = APISchema.object([
    .always("channel", .string, "Where to"), .sometimes("data", .any, "Text, or any other JSON value"),
    .sometimes("b64", .string, "Binary, in place of data"), .sometimes("type", .string, "A MIME type"),
    .sometimes("event", .string, "A name that subscribers may dispatch on"),
    .sometimes("key", .string, "Idempotency: the same key is published once"),
  ])

  private static let result = APISchema.object([
    .sometimes("cursor", .string, "Of the message"), .sometimes("error", .string, "Why it was not published"),
  ])

  /// Of one answer.
  private static let listed = 10_000
  /// Messages of one batch.
  private static let batch = 1000

  static let routes = [
    APIRoute(
      .get, "/api/v1/channels", "Channels in memory",
      response: .object([
        .always("channels", .array(channel), "By name"), .always("total", .integer, "Also beyond those listed"),
        .always("published", .integer, "Messages since the start"),
        .always("delivered", .integer, "To subscribers of the channels in memory"),
      ])
    ) { endpoint, exchange, _ in
      find(endpoint, nil) { channels, part in
        exchange.respond(
          .ok,
          json: [
            "channels": .array(channels), "total": .int(Int64(part.channels.count)), "published": .int(Int64(part.published)),
            "delivered": .int(Int64(part.delivered)),
          ])
      }
    },
    APIRoute(.get, "/api/v1/channels/{name...}", "One channel", response: channel) { endpoint, exchange, parameters in
      find(endpoint, parameters["name"]) { channels, _ in
        if let channel = channels.first {
          exchange.respond(.ok, json: channel)
        } else {
          exchange.refuse(.notFound, "there is no channel \(parameters["name"]) in memory")
        }
      }
    },
    APIRoute(
      .post, "/api/v1/publish", "Publishes messages, to one channel or many",
      request: .object([.always("messages", .array(message), "In their order; at most \(batch)")]),
      response: .object([.always("results", .array(result), "One for each message")])
    ) { endpoint, exchange, _ in
      exchange.collectBody(limit: endpoint.messages.configuration.messageBytes * 4) { body in publish(endpoint, exchange, body) }
    },
    APIRoute(
      .post, "/api/v1/disconnect", "Closes the connections of a user; they do not come back by themselves",
      request: .object([.always("user", .string, "The sub of its tokens")]),
      response: .object([.always("closed", .integer, "Connections that ended")])
    ) { endpoint, exchange, _ in
      exchange.collectBody(limit: RESTEndpoint.bodyLimit) { body in disconnect(endpoint, exchange, body) }
    },
  ]

  // MARK: Listing

  private struct Part: Sendable {
    var channels: [ChannelSummary]
    var subscribers: [ChannelName: [String: Int]] = [:]
    var published = 0
    var delivered = 0
  }

  /// Channels are known to their home worker, subscribers to each their own.
  private static func find(_ endpoint: RESTEndpoint, _ name: String?, then: @escaping ([JSON], Part) -> Void) {
    endpoint.gathering.ask { context in
      let hub = context.service(MessageHub.self)
      var part = Part(channels: hub.localChannels.filter { name == nil || $0.name.text == name })
      part.published = hub.published
      part.delivered = hub.localLogs.reduce(0) { $0 + $1.delivered }
      for session in hub.localSessions {
        for channel in session.channels where name == nil || channel.text == name {
          part.subscribers[channel, default: [:]][session.client.transport, default: 0] += 1
        }
      }
      return part
    } then: { parts in
      let all = parts.reduce(into: Part(channels: [])) { total, part in
        total.channels += part.channels
        total.subscribers.merge(part.subscribers) { $0.merging($1, uniquingKeysWith: +) }
        total.published += part.published
        total.delivered += part.delivered
      }
      let channels = all.channels.sorted { $0.name.text < $1.name.text }
      then(channels.prefix(listed).map { json($0, all.subscribers[$0.name] ?? [:]) }, all)
    }
  }

  private static func json(_ channel: ChannelSummary, _ subscribers: [String: Int]) -> JSON {
    var transports = JSON.Object()
    for (name, count) in subscribers.sorted(by: { $0.key < $1.key }) { transports[name] = .int(Int64(count)) }
    return [
      "name": .string(channel.name.text), "cursor": .string(channel.cursor.description), "messages": .int(Int64(channel.messages)),
      "bytes": .int(Int64(channel.bytes)), "published": .int(Int64(channel.published)), "members": .int(Int64(channel.members)),
      "subscribers": ["total": .int(Int64(subscribers.values.reduce(0, +))), "by_transport": .object(transports)],
    ]
  }

  // MARK: Publishing

  private static func publish(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ body: [UInt8]) {
    var limits = JSONLimits()
    limits.bytes = body.count
    let drafts: [(ChannelName, Draft)]
    do throws(ParseError) {
      guard case .array(let messages)? = try JSON(parsing: body, limits: limits)["messages"], messages.count <= batch else {
        throw .invalid("expected {\"messages\": [{\"channel\": …, \"data\": …}, …]}, at most \(batch)", at: 0)
      }
      var found: [(ChannelName, Draft)] = []
      for (index, message) in messages.enumerated() {
        found.append(try draft(message, index, endpoint.messages.configuration.messageBytes))
      }
      drafts = found
    } catch { return exchange.refuse(.badRequest, "\(error)") }
    guard !drafts.isEmpty else { return exchange.respond(.ok, json: ["results": []]) }
    var results = [JSON](repeating: .null, count: drafts.count)
    var left = drafts.count
    for (index, (channel, draft)) in drafts.enumerated() {
      endpoint.messages.publish(draft, to: channel) { result in
        switch result {
        case .success(let cursor): results[index] = ["cursor": .string(cursor.description)]
        case .failure(let error): results[index] = ["error": .string(error.description)]
        }
        left -= 1
        if left == 0 { exchange.respond(.ok, json: ["results": .array(results)]) }
      }
    }
  }

  private static func draft(_ message: JSON, _ index: Int, _ limit: Int) throws(ParseError) -> (ChannelName, Draft) {
    guard let channel = message["channel"]?.stringValue else { throw .invalid("message \(index) has no \"channel\"", at: 0) }
    let draft = try MessageContent.draft(of: message)
    guard draft.payload.count <= limit else { throw .limit("bytes of message \(index)", maximum: limit) }
    let name = try ChannelName(channel)
    guard !name.isServerOnly else { throw .invalid("only the server publishes there", at: 0) }
    return (name, draft)
  }

  private static func disconnect(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ body: [UInt8]) {
    guard let user = (try? JSON(parsing: body))?["user"]?.stringValue, !user.isEmpty else {
      return exchange.refuse(.badRequest, "expected {\"user\": TEXT}")
    }
    endpoint.gathering.ask { context in
      context.service(WorkerServices.self).kick(user: user)
    } then: { counts in
      exchange.respond(.ok, json: ["closed": .int(Int64(counts.reduce(0, +)))])
    }
  }
}

internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletRooms
internal import MartletWeb

/// `/api/v1/rooms`: who meets whom, and what an administrator does about it.
internal enum RoomsResource {
  private static let track = APISchema.object([
    .always("source", .string, "microphone, camera, screen or screen-audio"),
    .always("layers", .array(.string), "Names of its simulcast layers; empty without"),
  ])
  private static let participant = APISchema.object([
    .always("id", .string, "As the others know it"), .always("name", .string, "As it calls itself"),
    .sometimes("info", .any, "What it says of itself"), .sometimes("user", .string, "Of its token"),
    .always("joined", .integer, "Milliseconds since 1970"), .always("muted", .array(.string), "What it has turned off"),
    .always("tracks", .array(track), "What it publishes through the server"), .always("address", .string, "Of the participant"),
  ])
  private static let room = APISchema.object([
    .always("name", .string, "rooms/NAME is its chat"), .always("topology", .string, "mesh, supernode or sfu"),
    .sometimes("supernode", .string, "The participant that passes everything on"), .always("mode", .string, "auto, mesh, supernode or sfu"),
    .always("generation", .integer, "How often the topology has changed"), .always("locked", .boolean, "Nobody new comes in"),
    .always("since", .string, "RFC 3339"), .always("waiting", .integer, "In the lobby"),
    .always("participants", .array(participant), "In the order in which they came; at most \(listed)"),
    .always("total", .integer, "Participants, also beyond those listed"),
  ])

  /// Rooms of one answer, and participants of each room.
  private static let limit = 1000
  private static let listed = 200

  static let routes = [
    APIRoute(
      .get, "/api/v1/rooms", "Rooms and who is in them",
      response: .object([
        .always("rooms", .array(room), "By name; at most \(limit)"), .always("total", .integer, "Also beyond those listed"),
      ])
    ) { endpoint, exchange, _ in list(endpoint, exchange) },
    APIRoute(
      .post, "/api/v1/rooms/{room}", "Moderates a room: a command of moderators, {\"do\": \"kick\", …}; docs/rooms.md has them",
      request: .object([.always("do", .string, "kick, mute, lock, unlock, admit, refuse, move or topology")]), status: .noContent,
      response: nil
    ) { endpoint, exchange, parameters in
      exchange.collectBody(limit: RESTEndpoint.bodyLimit) { moderate(endpoint, exchange, parameters["room"], $0) }
    },
    APIRoute(.delete, "/api/v1/rooms/{room}", "Sends everybody out of a room", status: .noContent, response: nil) {
      endpoint, exchange, parameters in close(endpoint, exchange, parameters["room"])
    },
  ]

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    endpoint.gathering.ask { context in
      context.service(RoomHub.self).localRooms
    } then: { parts in
      let all = parts.joined().sorted { $0.name.text < $1.name.text }
      exchange.respond(.ok, json: ["rooms": .array(all.prefix(limit).map(json)), "total": .int(Int64(all.count))])
    }
  }

  private static func json(_ room: Room) -> JSON {
    guard case .object(var object) = room.json else { return room.json }
    object["since"] = .string(room.created.iso8601)
    object["waiting"] = .int(Int64(room.lobby.count))
    object["participants"] = .array(room.participants.prefix(listed).map(json))
    object["total"] = .int(Int64(room.participants.count))
    return .object(object)
  }

  private static func json(_ participant: Participant) -> JSON {
    guard case .object(var object) = participant.json else { return participant.json }
    object["address"] = .string("\(participant.remote)")
    return .object(object)
  }

  private static func moderate(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String, _ body: [UInt8]) {
    do {
      let room = try RoomName(name)
      guard case .moderation(let moderation) = try RoomCommand(try JSON(parsing: body)) else {
        return exchange.refuse(.badRequest, "\"do\" is a command of moderators: kick, mute, lock, unlock, admit, refuse, move or topology")
      }
      endpoint.context.service(RoomHub.self).perform(.moderate(moderation), in: room) { result in
        switch result {
        case .success: exchange.respond(.noContent)
        case .failure(.gone): exchange.refuse(.notFound, "there is no room \(room)")
        case .failure(let error): exchange.refuse(error.status, "\(error)")
        }
      }
    } catch { exchange.refuse(.badRequest, "\(error)") }
  }

  private static func close(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String) {
    endpoint.gathering.ask { context in
      context.service(RoomHub.self).remove(.kicked, from: name)
    } then: { counts in
      if counts.contains(where: { $0 > 0 }) { exchange.respond(.noContent) } else { exchange.refuse(.notFound, "there is no room \(name)") }
    }
  }
}

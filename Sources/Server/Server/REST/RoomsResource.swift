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
  private static let uplink = APISchema.object([
    .always("bitrate", .integer, "Bits a second"), .always("limited", .boolean, "It would send more if it could"),
  ])
  private static let participant = APISchema.object([
    .always("id", .string, "As the others know it"), .always("name", .string, "As it calls itself"),
    .sometimes("info", .any, "What it says of itself"), .sometimes("user", .string, "Of its token"),
    .always("joined", .integer, "Milliseconds since 1970"), .always("muted", .array(.string), "What it has turned off"),
    .sometimes("silenced", .array(.string), "What a moderator has muted: nothing of it is passed on"),
    .always("may", .array(.string), "publish, moderate"),
    .sometimes("uplink", uplink, "What it can send, as it says"),
    .always("tracks", .array(track), "What it publishes through the server"), .always("address", .string, "Of the participant"),
  ])
  private static let options: [APISchema.Field] = [
    .sometimes("capacity", .integer, "Participants; who is in it stays"),
    .sometimes("topology", .string, "auto, mesh, supernode or sfu"),
    .sometimes("publish", .string, "Who sends media: everyone, moderators or nobody (but a moderator's encoder)"),
    .sometimes("lobby", .boolean, "Who comes waits until a moderator admits them"),
    .sometimes("record", .boolean, "What is published through the server is recorded"),
  ]
  /// A room as its participants know it too.
  private static let known: [APISchema.Field] = [
    .always("name", .string, "rooms/NAME is its chat"), .always("topology", .string, "mesh, supernode or sfu"),
    .sometimes("supernode", .string, "The participant that passes everything on"), .always("mode", .string, "auto, mesh, supernode or sfu"),
    .always("generation", .integer, "How often the topology has changed"), .always("locked", .boolean, "Nobody new comes in"),
    .always("options", .object(options), "How it is"),
  ]
  private static let room = APISchema.object(
    known + [
      .always("kept", .boolean, "It is there also while nobody is in it"),
      .always("since", .string, "RFC 3339"), .always("waiting", .integer, "In the lobby"),
      .always("participants", .array(participant), "In the order in which they came; at most \(listed)"),
      .always("total", .integer, "Participants, also beyond those listed"),
    ])

  private static let watch = APISchema.object([
    .always("participant", .string, "Whom it watches"), .always("source", .string, "microphone, camera, screen or screen-audio"),
    .sometimes("layer", .string, "Of several sizes, the one that goes"), .always("bytes", .integer, "Of payload, since it began"),
    .always("paused", .boolean, "The path does not carry it, or it is not wanted now"),
  ])
  private static let sent = APISchema.object([
    .always("source", .string, "microphone, camera, screen or screen-audio"), .always("codec", .string, "VP8, Opus, …"),
    .sometimes("layer", .string, "One of several sizes"), .always("bytes", .integer, "Of payload, since it began"),
  ])
  private static let media = APISchema.object([
    .always("participant", .string, "Whose connection to the server this is"), .always("client", .string, "As in /api/v1/webrtc"),
    .always("sends", .array(sent), "What comes of it"), .always("watches", .array(watch), "What goes to it of the others"),
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
    APIRoute(.get, "/api/v1/rooms/{room}", "One room", response: room) { endpoint, exchange, parameters in
      show(endpoint, exchange, parameters["room"])
    },
    APIRoute(
      .get, "/api/v1/rooms/{room}/media", "Who is sent what, where media goes by way of the server",
      response: .object([.always("media", .array(media), "By participant")])
    ) { endpoint, exchange, parameters in
      showMedia(endpoint, exchange, parameters["room"])
    },
    APIRoute(
      .put, "/api/v1/rooms/{room}", "Makes a room that stays until it is deleted, or makes one stay; what is left out is as configured",
      request: .object(options), response: .object(known)
    ) { endpoint, exchange, parameters in
      configure(endpoint, exchange, parameters["room"]) { .keep($0) }
    },
    APIRoute(
      .patch, "/api/v1/rooms/{room}", "Changes options of a room; what is left out stays", request: .object(options),
      response: .object(known)
    ) { endpoint, exchange, parameters in
      configure(endpoint, exchange, parameters["room"]) { .configure($0) }
    },
    APIRoute(.delete, "/api/v1/rooms/{room}", "Sends everybody out of a room, which is no more", status: .noContent, response: nil) {
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

  private static func show(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String) {
    endpoint.gathering.ask { context in
      context.service(RoomHub.self).localRooms.first { $0.name.text == name }
    } then: { found in
      guard let room = found.compactMap(\.self).first else { return exchange.refuse(.notFound, "there is no room \(name)") }
      exchange.respond(.ok, json: json(room))
    }
  }

  private static func showMedia(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String) {
    endpoint.gathering.ask { context in
      context.service(RoomMedia.self).reports(of: name)
    } then: { parts in
      let all = parts.joined().sorted { $0.participant.text < $1.participant.text }
      exchange.respond(.ok, json: ["media": .array(all.prefix(limit).map(json))])
    }
  }

  private static func json(_ report: RoomMediaReport) -> JSON {
    let watches = report.watches.map { watch in
      var object = JSON.Object()
      object["participant"] = .string(watch.participant.text)
      object["source"] = .string(watch.source.rawValue)
      if let layer = watch.layer { object["layer"] = .string(layer) }
      object["bytes"] = .int(Int64(watch.bytes))
      object["paused"] = .bool(watch.isPaused)
      return JSON.object(object)
    }
    let sends = report.sends.map { sent in
      var object = JSON.Object()
      object["source"] = .string(sent.source.rawValue)
      object["codec"] = .string(sent.codec)
      if let layer = sent.layer { object["layer"] = .string(layer) }
      object["bytes"] = .int(Int64(sent.bytes))
      return JSON.object(object)
    }
    return [
      "participant": .string(report.participant.text), "client": .string(report.client), "sends": .array(sends), "watches": .array(watches),
    ]
  }

  private static func json(_ room: Room) -> JSON {
    guard case .object(var object) = room.json else { return room.json }
    object["since"] = .string(room.created.iso8601)
    object["waiting"] = .int(Int64(room.lobby.count))
    object["kept"] = .bool(room.isKept)
    object["participants"] = .array(room.participants.prefix(listed).map { json($0, room) })
    object["total"] = .int(Int64(room.participants.count))
    return .object(object)
  }

  private static func json(_ participant: Participant, _ room: Room) -> JSON {
    guard case .object(var object) = participant.json else { return participant.json }
    if let uplink = participant.uplink {
      object["uplink"] = ["bitrate": .int(Int64(uplink.bitrate)), "limited": .bool(uplink.isLimited)]
    }
    object["may"] = .array(room.may(participant).map { .string($0.rawValue) })
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

  private static func configure(
    _ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String, _ request: @escaping (RoomOptions.Change) -> RoomHub.Request
  ) {
    exchange.collectBody(limit: RESTEndpoint.bodyLimit) { body in
      do {
        let room = try RoomName(name)
        let change = try RoomOptions.Change(try JSON(parsing: body))
        guard change.isRecorded != true || endpoint.shared.recordings != nil else {
          return exchange.refuse(.conflict, "there is no folder for recordings (record.path)")
        }
        endpoint.context.service(RoomHub.self).perform(request(change), in: room) { result in
          switch result {
          case .success(let json): exchange.respond(.ok, json: json)
          case .failure(.gone): exchange.refuse(.notFound, "there is no room \(room); PUT makes one")
          case .failure(let error): exchange.refuse(error.status, "\(error)")
          }
        }
      } catch { exchange.refuse(.badRequest, "\(error)") }
    }
  }

  private static func close(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ name: String) {
    endpoint.gathering.ask { context in
      let hub = context.service(RoomHub.self)
      let wasKept = hub.giveUp(name)
      return hub.remove(.kicked, from: name) > 0 || wasKept
    } then: { found in
      if found.contains(true) { exchange.respond(.noContent) } else { exchange.refuse(.notFound, "there is no room \(name)") }
    }
  }
}

internal import MartletCodecs
internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/webrtc`: how the sessions of WHIP and WHEP get through, and why others did not.
internal enum WebRTCResource {
  private static let pair = APISchema.object([
    .always("kind", .string, "prflx-udp: the peer's type and the protocol, as in the metrics"),
    .always("local_type", .string, "host"), .always("local", .string, "Our address"),
    .always("remote_type", .string, "host, srflx, prflx or relay"), .always("remote", .string, "The peer's address"),
  ])

  private static let track = APISchema.object([
    .always("kind", .string, "video or audio"), .always("codec", .string, "H264, VP8, Opus, …"),
    .sometimes("layer", .string, "The rid of one of several sizes"), .always("packets", .integer, "Of media"),
    .always("bytes", .integer, "Of payload"), .always("lost", .integer, "Packets, as the receiver counts them"),
    .sometimes("loss", .number, "Share of the packets between the last two reports, 0 to 1"),
    .always("jitter", .number, "Seconds, as the receiver measures it"),
    .always("retransmissions", .integer, "Packets that came after all, or that were sent again"),
    .always("fec", .integer, "Packets that FEC brought back, or FEC packets that were sent"),
    .always("key_frame_requests", .integer, "To a publisher, or from a viewer"),
  ])

  private static let event = APISchema.object([
    .always("at", .number, "Seconds since the first"), .always("event", .string, "What ICE did"),
  ])

  private static let session = APISchema.object([
    .always("client", .string, "As in /api/v1/clients"), .always("role", .string, "publisher or viewer"),
    .always("path", .string, "The stream"), .always("address", .string, "Of the request that began it"),
    .always("since", .string, "RFC 3339"), .sometimes("user", .string, "Of its token"),
    .sometimes("user_agent", .string, "As the peer calls itself"),
    .always("state", .string, "connecting, connected, disconnected or failed"),
    .always("local_candidates", .array(.string), "What was offered to the peer"),
    .always("remote_candidates", .array(.string), "What the peer told"), .sometimes("pair", pair, "The path in use"),
    .sometimes("round_trip", .number, "Seconds, as RTCP last measured it; not of a publisher that answers no extended reports (RFC 3611)"),
    .sometimes("loss", .number, "Of the track with the most, between the last two reports, 0 to 1"),
    .sometimes("estimate", .integer, "To a viewer: bits a second that the path is thought to carry"),
    .sometimes("estimate_reason", .string, "start (nothing is known), delay, loss, or remb (the viewer says so)"),
    .sometimes("left_out", .integer, "To a viewer: packets of pictures not sent, since they would have come too late"),
    .always("bitrate_in", .integer, "Bits of the last second"), .always("bitrate_out", .integer, "Bits of the last second"),
    .always("bytes_in", .integer, "Of datagrams"), .always("bytes_out", .integer, "Of datagrams"),
    .always("packets_in", .integer, "Of media"), .always("packets_out", .integer, "Of media"),
    .always("tracks", .array(track), "What comes from a publisher, what goes to a viewer"),
    .sometimes("dtls_cipher", .string, "As OpenSSL calls it"), .sometimes("srtp_profile", .string, "As IANA has it"),
    .always("drops", .map(.integer), "What came in and was not taken, by reason"),
    .sometimes("failed", .string, "When it failed, RFC 3339"), .sometimes("failure", .string, "Why it failed"),
    .sometimes("diagnosis", .string, "What was offered, what came in, what to change"),
    .sometimes("trace", .array(event), "What ICE did before it failed"),
  ])

  /// Of one answer.
  private static let limit = 2000

  static let routes = [
    APIRoute(
      .get, "/api/v1/webrtc", "Sessions of WHIP and WHEP, and the last that failed. Query: path, for those of one stream",
      response: .object([
        .always("sessions", .array(session), "Oldest first"), .always("failed", .array(session), "Newest first; at most 20 a worker"),
        .always("total", .integer, "Sessions, also beyond those listed"),
      ])
    ) { endpoint, exchange, _ in list(endpoint, exchange) }
  ]

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    let path = exchange.request.target.query.first("path")
    endpoint.gathering.ask { context in
      context.service(WebRTCListener.self).reports.filter { path == nil || $0.client.path.text == path }
    } then: { parts in
      let all = parts.joined().sorted { ($0.client.since, $0.client.id) < ($1.client.since, $1.client.id) }
      let sessions = all.filter { $0.failedAt == nil }
      exchange.respond(
        .ok,
        json: [
          "sessions": .array(sessions.prefix(limit).map(json)), "failed": .array(all.filter { $0.failedAt != nil }.reversed().map(json)),
          "total": .int(Int64(sessions.count)),
        ])
    }
  }

  // MARK: As JSON

  private static func json(_ report: WebRTCReport) -> JSON {
    var object = about(report.client)
    object["state"] = .string(report.state)
    object["local_candidates"] = .array(report.localCandidates.map { .string($0) })
    object["remote_candidates"] = .array(report.remoteCandidates.map { .string($0) })
    if let pair = report.pair { object["pair"] = json(pair) }
    if let trip = report.roundTrip { object["round_trip"] = .double(trip.seconds) }
    if let loss = report.tracks.compactMap(\.loss).max() { object["loss"] = .double(loss) }
    if let estimate = report.estimate {
      object["estimate"] = .int(Int64(estimate.bitrate))
      object["estimate_reason"] = .string(estimate.reason)
    }
    if report.client.role == .viewer { object["left_out"] = .int(Int64(report.leftOut)) }
    object["bitrate_in"] = .int(Int64(report.bitrateIn))
    object["bitrate_out"] = .int(Int64(report.bitrateOut))
    object["bytes_in"] = .int(Int64(report.bytesIn))
    object["bytes_out"] = .int(Int64(report.bytesOut))
    object["packets_in"] = .int(Int64(report.packetsIn))
    object["packets_out"] = .int(Int64(report.packetsOut))
    object["tracks"] = .array(report.tracks.map(json))
    if let cipher = report.cipher { object["dtls_cipher"] = .string(cipher) }
    if let profile = report.srtpProfile { object["srtp_profile"] = .string(profile) }
    object["drops"] = json(report.drops)
    addFailure(report, to: &object)
    return .object(object)
  }

  private static func about(_ client: ClientInfo) -> JSON.Object {
    var object = JSON.Object()
    object["client"] = .string(client.id)
    object["role"] = .string(client.role.rawValue)
    object["path"] = .string(client.path.text)
    object["address"] = .string("\(client.remote)")
    object["since"] = .string(client.since.iso8601)
    if let user = client.user { object["user"] = .string(user) }
    if let agent = client.userAgent { object["user_agent"] = .string(agent) }
    return object
  }

  private static func addFailure(_ report: WebRTCReport, to object: inout JSON.Object) {
    guard let failedAt = report.failedAt else { return }
    object["failed"] = .string(failedAt.iso8601)
    if let failure = report.failure { object["failure"] = .string(failure) }
    if let diagnosis = report.diagnosis { object["diagnosis"] = .string(diagnosis) }
    object["trace"] = .array(report.trace.map { ["at": .double($0.0.seconds), "event": .string($0.1)] })
  }

  private static func json(_ pair: WebRTCReport.Pair) -> JSON {
    [
      "kind": .string(pair.kind), "local_type": .string(pair.localType), "local": .string("\(pair.local)"),
      "remote_type": .string(pair.remoteType), "remote": .string("\(pair.remote)"),
    ]
  }

  private static func json(_ track: WebRTCReport.Track) -> JSON {
    var object = JSON.Object()
    object["kind"] = .string(track.kind.rawValue)
    object["codec"] = .string(track.codec)
    if let layer = track.layer { object["layer"] = .string(layer) }
    object["packets"] = .int(Int64(track.packets))
    object["bytes"] = .int(Int64(track.bytes))
    object["lost"] = .int(Int64(track.lost))
    if let loss = track.loss { object["loss"] = .double(loss) }
    object["jitter"] = .double(track.jitter.seconds)
    object["retransmissions"] = .int(Int64(track.retransmissions))
    object["fec"] = .int(Int64(track.repaired))
    object["key_frame_requests"] = .int(Int64(track.keyFrameRequests))
    return .object(object)
  }

  private static func json(_ counts: [String: Int]) -> JSON {
    var object = JSON.Object()
    for (name, count) in counts.sorted(by: { $0.key < $1.key }) { object[name] = .int(Int64(count)) }
    return .object(object)
  }
}

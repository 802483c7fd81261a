internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletMedia
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms
internal import MartletSTUN
internal import MartletWeb

/// `/api/v1/auth/revoke`: a token or all tokens of a user count no more, and the sessions that live by them end now.
internal enum RevocationResource {
  static let routes = [
    APIRoute(
      .post, "/api/v1/auth/revoke", "Revokes a token, or all that a user has so far, and closes their sessions",
      request: .object([
        .sometimes("token_id", .string, "The token's jti"), .sometimes("user", .string, "The tokens' sub"),
      ]), response: .object([.always("closed", .integer, "Sessions that ended")])
    ) { endpoint, exchange, _ in
      exchange.collectBody(limit: RESTEndpoint.bodyLimit) { body in revoke(endpoint, exchange, body) }
    }
  ]

  private static func revoke(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ body: [UInt8]) {
    let json: JSON
    do throws(ParseError) { json = try JSON(parsing: body) } catch {
      return exchange.refuse(.badRequest, "the content is no JSON: \(error)")
    }
    let (token, user) = (json["token_id"]?.stringValue, json["user"]?.stringValue)
    guard let subject = token ?? user, token == nil || user == nil, (1...Revocations.maximumLength).contains(subject.utf8.count) else {
      return exchange.refuse(.badRequest, "expected {\"token_id\": TEXT} or {\"user\": TEXT}")
    }
    let now = endpoint.context.wallTime
    let asker = endpoint.context.loop.index
    endpoint.gathering.ask { [store = endpoint.shared.revocations] context -> Int? in
      let access = context.service(WorkerServices.self).access
      guard !access.policy.revocations.isFull else { return nil }
      if let token { access.policy.revocations.revoke(token: token) } else { access.policy.revocations.revoke(user: subject, at: now) }
      if context.loop.index == asker { store.save(access.policy.revocations) }
      return context.service(MediaHub.self).kick(.expired) { token == nil ? $0.user == subject : $0.tokenID == subject }
        + context.service(MessageHub.self).kick(.expired) { token == nil ? $0.user == subject : $0.tokenID == subject }
        + context.service(FilesEndpoint.self).kick { token == nil ? $0 == subject : $1 == subject }
        + context.service(RoomHub.self).remove(.expired) { token == nil ? $0.user == subject : $0.tokenID == subject }
        + context.service(TURNListener.self).revoke {
          if let token { $0.revoke(token: token) } else { $0.revoke(user: subject, at: now.milliseconds / 1000) }
        }
    } then: { counts in
      guard counts.allSatisfy({ $0 != nil }) else {
        return exchange.refuse(507, "\(Revocations.limit) revocations are kept already; change the key that the tokens are signed with")
      }
      let closed = counts.reduce(0) { $0 + ($1 ?? 0) }
      endpoint.context.log(.info, "auth", "revoked \(token == nil ? "the tokens of user" : "token") \(subject): \(closed) sessions closed")
      exchange.respond(.ok, json: ["closed": .int(Int64(closed))])
    }
  }
}

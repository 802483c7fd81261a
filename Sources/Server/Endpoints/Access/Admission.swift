package import MartletIO
package import MartletMedia
internal import MartletMessages
internal import MartletPrimitives
internal import MartletRooms

/// The way of every publisher and viewer into the hub, whatever its protocol: ask for permission, name the client, tell the
/// webhooks, and end the session with its token.
package struct Admission {
  package let hub: MediaHub
  package let access: any AccessControl
  package let context: LoopContext

  package init(hub: MediaHub, access: any AccessControl, context: LoopContext) {
    self.hub = hub
    self.access = access
    self.context = context
  }

  /// Why somebody is not let in.
  package struct Refusal: Error {
    package let reason: String
    /// No credentials would change it.
    package let isFinal: Bool
  }

  /// Calls `then` with a client, or with what refuses it, at once or later.
  /// - Parameter request: its resource is the stream's path.
  package func ask(_ request: AccessRequest, path: StreamPath, then: @escaping (Result<ClientInfo, Refusal>) -> Void) {
    access.decide(request) { decision in
      switch decision {
      case .denied(let reason, let isFinal): refuse(request, path, Refusal(reason: reason, isFinal: isFinal), then)
      // A webhook may answer with a time that is over.
      case .allowed(_, .some(let expires), _) where expires <= context.wallTime:
        refuse(request, path, Refusal(reason: "the permission has expired", isFinal: false), then)
      case .allowed(let user, let expires, let tokenID):
        var client = ClientInfo(
          id: hub.nextClientID(), role: request.action == .publish ? .publisher : .viewer, transport: request.transport, path: path,
          remote: request.remote, since: context.wallTime, user: user, userAgent: request.userAgent)
        client.tokenID = tokenID
        if let expires { end(client.id, at: expires) }
        guard request.action == .publish, let (room, name) = path.participant else { return then(.success(client)) }
        enter(room, as: name, client, request, then)
      }
    }
  }

  /// An encoder that publishes below a room is a participant of it.
  private func enter(
    _ text: String, as name: String, _ client: ClientInfo, _ request: AccessRequest, _ then: @escaping (Result<ClientInfo, Refusal>) -> Void
  ) {
    var random = RandomSource.system
    var entry = Room.Entry(id: ParticipantID(name), key: ParticipantKey(random: &random), remote: client.remote)
    (entry.name, entry.isStream) = (name, true)
    (entry.grant.user, entry.grant.tokenID) = (client.user, client.tokenID)
    let room: RoomName
    do throws(ParseError) { room = try RoomName(text) } catch {
      return refuse(request, client.path, Refusal(reason: "\(error)", isFinal: true), then)
    }
    var question = request
    (question.action, question.resource, question.isProbe) = (.admin, room.chat.text, true)
    access.decide(question) { decision in
      if case .allowed = decision { entry.grant.isModerator = true }
      context.service(RoomHub.self).perform(.join(entry), in: room) { result in
        switch result {
        case .success(let answer):
          var client = client
          client.isParticipant = true
          client.silenced = TrackSource.kinds(TrackSource.sources(answer["silenced"]), ofScreen: false)
          then(.success(client))
        case .failure(let error): refuse(request, client.path, Refusal(reason: "\(error)", isFinal: true), then)
        }
      }
    }
  }

  private func refuse(
    _ request: AccessRequest, _ path: StreamPath, _ refusal: Refusal, _ then: (Result<ClientInfo, Refusal>) -> Void
  ) {
    context.log(
      .warning, request.transport, "\(request.action.rawValue) of \(path) refused: \(refusal.reason)", ["peer": "\(request.remote)"])
    then(.failure(refusal))
  }

  private func end(_ clientID: String, at expires: WallTime) {
    let left = TimeSpan.milliseconds(Int(clamping: expires.milliseconds - context.wallTime.milliseconds))
    let hub = hub
    context.schedule(after: left) { [weak hub] in _ = hub?.kick(clientID: clientID, .expired) }
  }
}

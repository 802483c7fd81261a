package import MartletIO
package import MartletMedia
internal import MartletPrimitives

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

  /// Calls `then` with a client, or with the sentence that refuses it, at once or later.
  /// - Parameter request: its resource is the stream's path.
  package func ask(_ request: AccessRequest, path: StreamPath, then: @escaping (ClientInfo?, _ refusal: String) -> Void) {
    access.decide(request) { decision in
      switch decision {
      case .denied(let reason): refuse(request, path, reason, then)
      // A webhook may answer with a time that is over.
      case .allowed(_, .some(let expires), _) where expires <= context.wallTime:
        refuse(request, path, "the permission has expired", then)
      case .allowed(let user, let expires, let tokenID):
        var client = ClientInfo(
          id: hub.nextClientID(), role: request.action == .publish ? .publisher : .viewer, transport: request.transport, path: path,
          remote: request.remote, since: context.wallTime, user: user, userAgent: request.userAgent)
        client.tokenID = tokenID
        if let expires { end(client.id, at: expires) }
        then(client, "")
      }
    }
  }

  private func refuse(
    _ request: AccessRequest, _ path: StreamPath, _ reason: String, _ then: (ClientInfo?, _ refusal: String) -> Void
  ) {
    context.log(
      .warning, request.transport, "\(request.action.rawValue) of \(path) refused: \(reason)", ["peer": "\(request.remote)"])
    then(nil, reason)
  }

  private func end(_ clientID: String, at expires: WallTime) {
    let left = TimeSpan.milliseconds(Int(clamping: expires.milliseconds - context.wallTime.milliseconds))
    let hub = hub
    context.schedule(after: left) { [weak hub] in _ = hub?.kick(clientID: clientID, .expired) }
  }
}

package import MartletCodecs
package import MartletPrimitives

/// Who publishes or watches, for the REST API, the dashboard and the log.
package struct ClientInfo: Sendable {
  package enum Role: String, Sendable { case publisher, viewer }

  /// Unique within the server's run: `w0-17`.
  package let id: String
  package let role: Role
  /// `rtmp`, `http-flv`, `ws-flv`, `http-ts`, `http-fmp4`, `ws-fmp4`, `hls`, …
  package let transport: String
  package let path: StreamPath
  package let remote: SocketAddress
  package let since: WallTime
  /// The name in the client's token, if any.
  package var user: String?
  /// The token's own name, by which it can be revoked.
  package var tokenID: String?
  package var userAgent: String?
  /// It publishes as a participant of the room that the path is below.
  package var isParticipant = false
  /// What of a participant's stream begins silent.
  package var silenced: Set<MediaKind> = []

  package init(
    id: String, role: Role, transport: String, path: StreamPath, remote: SocketAddress, since: WallTime, user: String? = nil,
    userAgent: String? = nil
  ) {
    self.id = id
    self.role = role
    self.transport = transport
    self.path = path
    self.remote = remote
    self.since = since
    self.user = user
    self.userAgent = userAgent
  }
}

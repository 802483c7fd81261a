package import MartletMedia
package import MartletPrimitives

/// What somebody wants to do. The words are those of tokens and configuration.
package enum AccessAction: String, Sendable, CaseIterable {
  case publish, play, subscribe, history, presence, join, relay, upload, download, admin
}

/// Everything a decision may depend on; a webhook is asked with the same fields.
package struct AccessRequest: Sendable {
  package var action: AccessAction
  /// A stream path, a channel, a file: what the action is on.
  package var resource: String
  /// `rtmp`, `http-flv`, …
  package var transport: String
  package var remote: SocketAddress
  /// A token from the `Authorization` field, the query or the cookie.
  package var token: String?
  /// Static key from the query (`?key=…`).
  package var key: String?
  package var userAgent: String?
  /// Somebody at this machine asks, not a page of another site and nobody behind a proxy: what administration without a
  /// token takes.
  package var isLocal = false
  /// Somebody asks for another thing, and this is to know what else they may: a no refuses nothing.
  package var isProbe = false
  /// It came without credentials.
  package var isAnonymous: Bool { token == nil && key == nil }

  package init(
    _ action: AccessAction, on resource: String, transport: String, remote: SocketAddress, token: String? = nil, key: String? = nil,
    userAgent: String? = nil
  ) {
    self.action = action
    self.resource = resource
    self.transport = transport
    self.remote = remote
    self.token = token
    self.key = key
    self.userAgent = userAgent
  }
}

package enum AccessDecision: Equatable, Sendable {
  /// - Parameters:
  ///   - user: the token's subject.
  ///   - expires: when the session must end.
  ///   - tokenID: the token's own name (`jti`), by which it can be revoked.
  case allowed(user: String? = nil, expires: WallTime? = nil, tokenID: String? = nil)
  /// The sentence names what is missing and the setting that decides.
  /// - Parameter isFinal: no credentials would change it: the address is barred, or nobody could be asked.
  case denied(String, isFinal: Bool = false)
}

/// Who may do what. One on each worker; the decision may need a webhook, so the answer comes by a call, at once or later.
package protocol AccessControl: AnyObject {
  func decide(_ request: AccessRequest, then: @escaping (AccessDecision) -> Void)
  /// A session that was allowed began or ended: webhooks hear of it.
  func sessionDidBegin(_ client: ClientInfo)
  func sessionDidEnd(_ client: ClientInfo)
}

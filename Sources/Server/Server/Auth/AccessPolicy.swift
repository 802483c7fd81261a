internal import MartletCrypto
package import MartletEndpoints
package import MartletPrimitives

/// Decides who may do what from the configuration, a token and the time. A value without I/O: each worker has a copy.
///
/// Addresses first (`deny`, then `allow`), then what the request brings (token, key), then the webhook, then whether the
/// action is open to everybody.
package struct AccessPolicy: Sendable {
  package enum Verdict: Equatable, Sendable {
    case decided(AccessDecision)
    /// The webhook decides.
    case ask
  }

  private struct Key {
    let secret: [UInt8]
    let actions: Set<AccessAction>
    let on: [PathPattern]
  }

  private let configuration: AuthConfiguration
  private let keys: [Key]
  private let tokenKeys: [JWTKey]
  /// Actions that need a key, a token or the webhook's word.
  private let guarded: Set<AccessAction>
  package var revocations = Revocations()

  /// - Parameter administrator: the first administrator's token from the state folder.
  /// - Throws: when a key file cannot be read or holds no key.
  package init(_ configuration: AuthConfiguration, administrator: Secret? = nil) throws(AccessPolicyError) {
    self.configuration = configuration
    var keys = configuration.keys.map { Key(secret: Array($0.key.value.utf8), actions: Set($0.actions), on: $0.on) }
    if let administrator {
      keys.append(Key(secret: Array(administrator.value.utf8), actions: [.admin, .upload], on: [.everything]))
    }
    self.keys = keys
    var tokenKeys: [JWTKey] = []
    for token in configuration.tokens { tokenKeys.append(try Self.key(token)) }
    self.tokenKeys = tokenKeys
    guarded = Set(configuration.keys.flatMap(\.actions) + configuration.tokens.flatMap(\.actions) + (configuration.webhook?.actions ?? []))
      .union([.upload, .admin, .relay])
  }

  private static func key(_ token: AuthConfiguration.TokenKey) throws(AccessPolicyError) -> JWTKey {
    do {
      if let secret = token.secret { return try JWTKey(secret: Array(secret.value.utf8), id: token.id) }
      return try JWTKey(publicKeyPEM: SmallFile.read(token.publicKeyFile ?? ""), id: token.id)
    } catch {
      throw AccessPolicyError(description: "auth.jwt\(token.publicKeyFile.map { " (\($0))" } ?? ""): \(error)")
    }
  }

  package func decide(_ request: AccessRequest, now: WallTime) -> Verdict {
    if let refusal = refuseAddress(request) { return .decided(.denied(refusal, isFinal: true)) }
    if request.action == .admin, request.isLocal { return .decided(.allowed()) }
    let isOpen = !guarded.contains(request.action)
    var refusal: String?
    switch byToken(request, now) {
    case .allowed(let user, let expires, let id)?: return .decided(.allowed(user: user, expires: expires, tokenID: id))
    case .denied(let reason, _)?: refusal = reason
    case nil: break
    }
    if byKey(request) { return .decided(.allowed()) }
    if isForAnyone(request) { return .decided(.allowed()) }
    if let webhook = configuration.webhook, webhook.actions.contains(request.action) { return .ask }
    // A token that is worse than none would be a riddle: what is open to everybody is open to its bearer too.
    return .decided(isOpen ? .allowed() : .denied(refusal ?? missing(request)))
  }

  private func isForAnyone(_ request: AccessRequest) -> Bool {
    configuration.anyone.contains { rule in
      rule.actions.contains(request.action) && rule.on.contains { $0.matches(request.resource) }
    }
  }

  // MARK: Addresses

  private func refuseAddress(_ request: AccessRequest) -> String? {
    let applies = { (rule: AuthConfiguration.AddressRule) in rule.actions.contains(request.action) }
    let holds = { (rule: AuthConfiguration.AddressRule) in rule.from.contains { $0.contains(request.remote.ip) } }
    if configuration.deny.contains(where: { applies($0) && holds($0) }) {
      return "\(request.remote.ip) may not \(request.action.rawValue) here (auth.deny)"
    }
    let allowing = configuration.allow.filter(applies)
    guard allowing.isEmpty || allowing.contains(where: holds) else {
      return "\(request.remote.ip) is not among those who may \(request.action.rawValue) (auth.allow)"
    }
    return nil
  }

  // MARK: Credentials

  /// `nil` when there is no token to judge.
  private func byToken(_ request: AccessRequest, _ now: WallTime) -> AccessDecision? {
    guard let token = request.token, !tokenKeys.isEmpty, token.contains(".") else { return nil }
    let claims: JWTClaims
    do throws(JWTError) { claims = try JWT.verify(token, keys: tokenKeys, now: now, leeway: configuration.leeway) } catch {
      return .denied("\(error) (auth.jwt)")
    }
    guard !revocations.contains(claims) else { return .denied("the token has been revoked") }
    let permissions = TokenPermissions(claims)
    guard permissions.allow(request.action, on: request.resource) else {
      return .denied("the token does not allow to \(request.action.rawValue) \(request.resource): it allows \(permissions.summary)")
    }
    return .allowed(user: claims.subject, expires: claims.expiresAt, tokenID: claims.id)
  }

  /// A static key is sent as such, or where a token would be. Each is compared, so that time tells nothing.
  private func byKey(_ request: AccessRequest) -> Bool {
    let offered = [request.key, request.token].compactMap { $0.map { Array($0.utf8) } }.filter { $0.count <= 1024 }
    var isAllowed = false
    for key in keys {
      for secret in offered where Digest.equal(key.secret, secret) {
        if key.actions.contains(request.action), key.on.contains(where: { $0.matches(request.resource) }) { isAllowed = true }
      }
    }
    return isAllowed
  }

  private func missing(_ request: AccessRequest) -> String {
    let (action, resource) = (request.action.rawValue, request.resource)
    if request.key != nil { return "the key does not allow to \(action) \(resource) (auth.keys)" }
    if request.token != nil, tokenKeys.isEmpty { return "there is no key to check tokens with (auth.jwt)" }
    switch request.action {
    case .admin: return "administration from elsewhere needs a token: Authorization: Bearer … (auth.keys with do: admin, or auth.jwt)"
    case .upload: return "an upload needs a token: Authorization: Bearer … (auth.keys with do: upload, or auth.jwt)"
    default: break
    }
    let ways = [
      configuration.tokens.isEmpty ? nil : "?token=… (auth.jwt)",
      configuration.keys.contains { $0.actions.contains(request.action) } ? "?key=… (auth.keys)" : nil,
    ].compactMap { $0 }
    return "to \(action) \(resource) takes \(ways.isEmpty ? "a permission (auth)" : ways.joined(separator: " or "))"
  }
}

package struct AccessPolicyError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}

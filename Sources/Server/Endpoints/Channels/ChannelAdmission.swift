internal import MartletIO
internal import MartletMessages
internal import MartletPrimitives

/// What a request or connection says of itself, and what it may do with channels.
///
/// Each permission is asked for once and then remembered until the credentials change: a signature is dear, and a publisher
/// sends many messages.
internal final class ChannelAdmission {
  private struct Permission: Hashable {
    let action: AccessAction
    let channel: ChannelName
  }

  internal enum Verdict {
    case allowed
    /// - Parameter needsCredentials: none were given, and some would help.
    case denied(String, needsCredentials: Bool)
  }

  /// The latest of what its token says.
  internal private(set) var user: String?
  internal private(set) var tokenID: String?
  internal private(set) var expires: WallTime?
  internal private(set) var question: AccessRequest
  private let access: any AccessControl
  private let users: UserCensus
  /// Who this counts for in the census.
  private var counted: String?
  private let context: LoopContext
  private var granted: Set<Permission> = []
  /// Beyond, the oldest knowledge is not worth its memory.
  private static let remembered = 512

  /// - Parameter question: carries the credentials; its action and resource are replaced.
  internal init(_ question: AccessRequest, _ access: any AccessControl, _ users: UserCensus, in context: LoopContext) {
    self.question = question
    self.access = access
    self.users = users
    self.context = context
  }

  deinit { if let counted { users.leave(counted) } }

  /// Counts this connection for its user, once.
  private func count(_ user: String) -> Bool {
    guard user != counted else { return true }
    guard users.enter(user) else { return false }
    if let counted { users.leave(counted) }
    counted = user
    return true
  }

  /// Uses another token from now on.
  internal func renew(_ token: String) {
    question.token = token
    granted = []
    (user, tokenID, expires) = (nil, nil, nil)
  }

  /// Calls `then` at once, or later where a webhook is asked.
  internal func ask(_ action: AccessAction, on channel: ChannelName, then: @escaping (Verdict) -> Void) {
    if action == .publish, channel.isServerOnly {
      return refuse(action, channel, "only the server publishes there", isFinal: true, then)
    }
    // Its name is its key.
    if channel.isInbox { return then(.allowed) }
    let permission = Permission(action: action, channel: channel)
    if granted.contains(permission), !isExpired { return then(.allowed) }
    var question = question
    question.action = action
    question.resource = channel.text
    access.decide(question) { [weak self] decision in
      guard let self else { return }
      // Who may join a room may also read and write what is said in it.
      if case .denied = decision, let room = channel.room {
        (question.action, question.resource) = (.join, room.text)
        return self.access.decide(question) { self.take($0, permission, then) }
      }
      self.take(decision, permission, then)
    }
  }

  private func take(_ decision: AccessDecision, _ permission: Permission, _ then: (Verdict) -> Void) {
    let (action, channel) = (permission.action, permission.channel)
    switch decision {
    case .denied(let reason, let isFinal): refuse(action, channel, reason, isFinal: isFinal, then)
    case .allowed(_, .some(let expires), _) where expires <= context.wallTime:
      refuse(action, channel, "the permission has expired", isFinal: false, then)
    case .allowed(let user, let expires, let tokenID):
      if let user, !count(user) {
        let reason = "\(user) has \(users.limit) connections already (channels.user_connections)"
        return refuse(action, channel, reason, isFinal: true, then)
      }
      if let user { self.user = user }
      if let tokenID { self.tokenID = tokenID }
      if let expires { self.expires = min(expires, self.expires ?? expires) }
      if granted.count >= Self.remembered { granted = [] }
      granted.insert(permission)
      then(.allowed)
    }
  }

  /// The permissions it lives by are over.
  internal var isExpired: Bool { expires.map { $0 <= context.wallTime } ?? false }

  private func refuse(_ action: AccessAction, _ channel: ChannelName, _ reason: String, isFinal: Bool, _ then: (Verdict) -> Void) {
    context.log(
      .info, question.transport, "\(action.rawValue) of channel \(channel) refused: \(reason)", ["peer": "\(question.remote)"])
    then(.denied(reason, needsCredentials: !isFinal && question.isAnonymous))
  }
}

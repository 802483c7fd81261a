package import MartletPrimitives

/// Who takes part in channels over one connection, for the REST API, the dashboard and the log.
package struct ChannelClient: Sendable {
  /// Unique within the server's run: `m0-17`.
  package let id: String
  /// `ws`, `sse`, `poll`, `socket.io`, …
  package let transport: String
  package let remote: SocketAddress
  package let since: WallTime
  /// Of its token, which may be renewed.
  package var user: String?
  package var tokenID: String?
  package var userAgent: String?

  package init(
    id: String, transport: String, remote: SocketAddress, since: WallTime, user: String? = nil, tokenID: String? = nil,
    userAgent: String? = nil
  ) {
    self.id = id
    self.transport = transport
    self.remote = remote
    self.since = since
    self.user = user
    self.tokenID = tokenID
    self.userAgent = userAgent
  }
}

/// Why a connection must go, whatever its transport; each transport has its own code for it.
package enum ChannelKick: Equatable, Sendable {
  case administrator
  /// Its permission is over.
  case expired
  /// It took nothing for too long, or the channel went on without it.
  case slow
}

/// A connection that takes part in channels. The hub lists it and looks after it until it is removed.
package protocol ChannelSession: AnyObject {
  var client: ChannelClient { get }
  var channels: [ChannelName] { get }
  func kick(_ reason: ChannelKick)
  /// Comes about once a second.
  func sweep(now: Instant, stuck: TimeSpan)
}

package import MartletPrimitives

/// Somebody who is present in a channel.
package struct Member: Sendable {
  /// Of the connection: one user may be present several times.
  package let id: String
  package let user: String?
  /// What the subscriber says of itself, JSON text of at most `maximumInfo` bytes; empty is none.
  package let info: Slice
  package let transport: String
  package let since: WallTime

  package static let maximumInfo = 1024

  package init(id: String, user: String?, info: Slice, transport: String, since: WallTime) {
    self.id = id
    self.user = user
    self.info = info
    self.transport = transport
    self.since = since
  }
}

/// Somebody came or left.
package struct PresenceEvent: Sendable {
  package let channel: ChannelName
  package let joined: Bool
  package let member: Member
}

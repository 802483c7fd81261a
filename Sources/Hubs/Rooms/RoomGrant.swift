package import MartletPrimitives

/// What somebody may do in a room: of its token, which may be renewed.
package struct RoomGrant: Equatable, Sendable {
  package var user: String?
  package var tokenID: String?
  package var expires: WallTime?
  /// Media, through the server.
  package var mayPublish = true
  package var isModerator = false
  package init() {}
}

/// What one may do in a room besides being there: the words of `may`.
package enum RoomPermission: String, Sendable, CaseIterable { case publish, moderate }

package import MartletPrimitives

/// What an operator may set for rooms; each field is a key of the `rooms` section.
package struct RoomConfiguration: Equatable, Sendable {
  /// Rooms at once.
  package var maximum = 10_000
  /// Participants of a room.
  package var capacity = 1000
  /// Participants, in all rooms, from one address; loopback is exempt. 0 is no limit.
  package var perAddress = 100
  /// Whom nobody hears of for so long has left.
  package var grace = TimeSpan.seconds(15)
  /// How rooms begin.
  package var topology = RoomTopology.Mode.auto
  /// The largest mesh that `auto` makes.
  package var meshLimit = 4
  /// Cameras that a participant is sent through the server, those of who spoke last; 0 is all.
  package var lastN = 0
  /// Who comes waits until a moderator admits them.
  package var hasLobby = false
  package init() {}
}

/// What a peer may make a room hold, whatever the configuration.
package enum RoomLimits {
  /// Bytes of a name.
  package static let name = 128
  /// Bytes of `info`, as JSON.
  package static let info = 4096
  /// Bytes of a command: an offer with many candidates.
  package static let command = 256 << 10
  /// Bytes of a message of the chat.
  package static let chat = 64 << 10
  /// Commands of a participant in a second.
  package static let commandsPerSecond = 200
  /// Tracks of a participant.
  package static let tracks = 16
  /// Whom a report may name.
  package static let unreachable = 64
  /// Who spoke last.
  package static let speakers = 64
  /// Who waits in a lobby.
  package static let lobby = 256
}

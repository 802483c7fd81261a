package import MartletPrimitives

/// What an operator may set for rooms; each field is a key of the `rooms` section.
package struct RoomConfiguration: Equatable, Sendable {
  /// Rooms at once.
  package var maximum = 10_000
  /// Participants, in all rooms, from one address; loopback is exempt. 0 is no limit.
  package var perAddress = 100
  /// Whom nobody hears of for so long has left.
  package var grace = TimeSpan.seconds(15)
  /// The largest mesh that `auto` makes.
  package var meshLimit = 4
  /// Cameras that a participant is sent through the server, those of who spoke last; 0 is all.
  package var lastN = 0
  /// How rooms are that no rule is for.
  package var defaults = RoomOptions()
  /// The first that matches a room's name says what is different there.
  package var rules: [Rule] = []
  package init() {}

  package struct Rule: Equatable, Sendable {
    package let on: PathPattern
    package let change: RoomOptions.Change

    package init(on: PathPattern, _ change: RoomOptions.Change) { (self.on, self.change) = (on, change) }
  }

  package func options(of room: RoomName) -> RoomOptions {
    rules.first { $0.on.matches(room.text) }.map { defaults.applying($0.change) } ?? defaults
  }
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
  /// Offers of a participant in a second, to each whom it makes them; the server answers as many.
  package static let offersPerSecond = 50
  /// Tracks of a participant.
  package static let tracks = 16
  /// Whom a report may name.
  package static let unreachable = 64
  /// Who spoke last.
  package static let speakers = 64
  /// Who waits in a lobby.
  package static let lobby = 256
}

/// Why the hub did not do what it was asked.
package enum MessageError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Too much waits between two workers, or for the disk: the same request may succeed a moment later.
  case busy
  /// `channels.maximum` are in use.
  case tooManyChannels
  /// The channel keeps its messages on disk, and the disk failed.
  case storage(String)
  case tooManySubscriptions(maximum: Int)
  case alreadySubscribed
  case notSubscribed
  case noPresence
  /// A channel of a room, or of a participant, that is not there.
  case noRoom
  /// It would pass for what a participant of the room has said.
  case notSaid

  package var description: String {
    switch self {
    case .busy: "the server is busy; try again"
    case .tooManyChannels: "no more channels can be opened (channels.maximum)"
    case .storage(let reason): "the channel's storage failed: \(reason)"
    case .tooManySubscriptions(let maximum): "a connection may have \(maximum) subscriptions (channels.subscriptions)"
    case .alreadySubscribed: "this connection is subscribed to the channel already"
    case .notSubscribed: "this connection is not subscribed to the channel"
    case .noRoom: "there is no such room, or no such participant in it"
    case .notSaid:
      "only participants, by the room's command \"say\", put a JSON object with a member \"from\" into its chat, or one that nobody can check"
    case .noPresence: "the channel keeps no presence (presence of its namespace)"
    }
  }

  /// Whether the same request may succeed later.
  package var isTemporary: Bool {
    switch self {
    case .busy, .storage: true
    case .tooManyChannels, .tooManySubscriptions, .alreadySubscribed, .notSubscribed, .noPresence, .noRoom, .notSaid: false
    }
  }
}

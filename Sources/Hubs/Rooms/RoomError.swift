/// Why a command was refused.
package enum RoomError: Error, Equatable, Sendable {
  case badCommand(String)
  case noCredentials(String)
  case forbidden(String)
  /// No participant has this key (any more).
  case gone
  case noParticipant(String)
  case full(Int)
  case locked
  /// In the lobby.
  case waiting
  case noMedia(String)
  case limit(String, maximum: Int)
  case busy(String)

  /// What a program acts on.
  package var code: String {
    switch self {
    case .badCommand: "bad_command"
    case .noCredentials: "no_credentials"
    case .forbidden: "forbidden"
    case .gone: "gone"
    case .noParticipant: "no_participant"
    case .full: "full"
    case .locked: "locked"
    case .waiting: "waiting"
    case .noMedia: "no_media"
    case .limit: "limit"
    case .busy: "busy"
    }
  }
}

extension RoomError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .badCommand(let why), .noCredentials(let why), .forbidden(let why), .noMedia(let why), .busy(let why): why
    case .gone: "no participant has this key: it has left, or the server was restarted; join again"
    case .noParticipant(let id): "there is no participant \(id.prefix(40)) in the room"
    case .full(let capacity): "the room is full: \(capacity) participants (rooms.capacity)"
    case .locked: "a moderator has locked the room"
    case .waiting: "a moderator has to admit you; the inbox says when"
    case .limit(let what, let maximum): "\(what) exceed the limit of \(maximum)"
    }
  }
}

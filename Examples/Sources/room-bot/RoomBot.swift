import Foundation
import Lines
import MartletClient

/// Joins a room and answers: what is said in the chat there, and what one sends to it over a data channel to that one.
@main struct RoomBot {
  static let usage = "usage: room-bot http[s]://HOST ROOM [NAME]\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (2...3).contains(arguments.count) else { fail(usage, status: 64) }
    do {
      var options = Room.Options()
      options.name = arguments.count > 2 ? arguments[2] : "Echo"
      options.media.includesLoopback = true
      if let token = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { options.token = { token } }
      let room = try await Room.join(arguments[1], at: arguments[0], options)
      say("joined \(room.name) as \(options.name), with \(await room.participants.count) others")
      try await answer(in: room)
    } catch {
      fail("room-bot: \(error)", status: 1)
    }
  }

  static func answer(in room: Room) async throws {
    for await event in room.events {
      switch event {
      case .joined(let participant): say("\(participant.name) has come")
      case .left(let participant, let reason): say("\(participant.name) is gone (\(reason))")
      case .topology(let topology): say("the room is a \(topology)")
      case .connection(let state): say("\(state)")
      case .message(let message):
        // Two of its kind would never stop.
        let isAnswer = message.content.text.hasPrefix("You said: ")
        guard let from = message.from, from != (await room.id), !isAnswer else { continue }
        try await room.say("You said: \(message.content.text)")
      case .data(let content, let participant): try await room.send(content, to: participant.id)
      case .closed(let failure?): throw failure
      default: break
      }
    }
  }
}

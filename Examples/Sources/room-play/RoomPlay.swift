import Foundation
import Lines
import MartletClient
import MediaFiles

/// Shows a film in a room, from files, again and again: VP8 in IVF is its camera, Opus in Ogg its microphone.
@main struct RoomPlay {
  static let usage = "usage: room-play http[s]://HOST ROOM FILE.ivf [FILE.ogg]\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (3...4).contains(arguments.count) else { fail(usage, status: 64) }
    do {
      var options = Room.Options()
      options.name = "Cinema"
      options.media.includesLoopback = true
      if let token = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { options.token = { token } }
      let pictures = try IVFFile(path: arguments[2])
      let sound = arguments.count > 3 ? try OggOpusFile(path: arguments[3]) : nil
      let room = try await Room.join(arguments[1], at: arguments[0], options)
      say("playing in \(room.name)")
      try await play(pictures, sound, in: room)
    } catch {
      fail("room-play: \(error)", status: 1)
    }
  }

  /// Until the room is closed.
  static func play(_ pictures: IVFFile, _ sound: OggOpusFile?, in room: Room) async throws {
    let camera = try await room.publish(.camera, codec: "VP8")
    let microphone = sound == nil ? nil : try await room.publish(.microphone, codec: "opus")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await MediaFiles.play(pictures, on: camera, loops: true) }
      if let sound, let microphone { group.addTask { try await MediaFiles.play(sound, on: microphone, loops: true) } }
      group.addTask {
        for await event in room.events {
          if case .topology(let topology) = event { say("the room is a \(topology)") }
          if case .closed(let failure?) = event { throw failure }
        }
      }
      defer { group.cancelAll() }
      _ = try await group.next()
    }
  }
}

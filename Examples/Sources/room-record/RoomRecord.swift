import Foundation
import Lines
import MartletClient
import MartletWebRTC
import MediaFiles

/// Records what everybody in a room shows and says, until all have left: VP8 into FOLDER/PARTICIPANT-SOURCE-N.ivf, Opus into ….ogg. A track
/// that comes another way, because the room has changed its topology, is another file.
@main struct RoomRecord {
  static let usage = "usage: room-record http[s]://HOST ROOM FOLDER\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 3 else { fail(usage, status: 64) }
    do {
      var options = Room.Options()
      options.name = "Recorder"
      (options.videoCodecs, options.audioCodecs) = (["VP8"], ["opus"])
      options.media.includesLoopback = true
      if let token = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { options.token = { token } }
      let room = try await Room.join(arguments[1], at: arguments[0], options)
      say("recording \(room.name)")
      try await record(room, into: arguments[2])
    } catch {
      fail("room-record: \(error)", status: 1)
    }
  }

  static func record(_ room: Room, into folder: String) async throws {
    var recordings: [String: Task<Int, any Error>] = [:]
    var ended: [Task<Int, any Error>] = []
    var count = 0
    let stop = { (key: String) in
      guard let recording = recordings.removeValue(forKey: key) else { return }
      recording.cancel()
      ended.append(recording)
    }
    for await event in room.events {
      switch event {
      case .track(let participant, let source, let track):
        let key = "\(participant.id)-\(source.rawValue)"
        stop(key)
        count += 1
        let path = "\(folder)/\(key.map { $0.isLetter || $0.isNumber ? $0 : "-" }.map(String.init).joined())-\(count)"
        recordings[key] = Task { try await write(track, to: path) }
        say("\(participant.name): \(source.rawValue) into \(path)")
      case .trackEnded(let participant, let source): stop("\(participant.id)-\(source.rawValue)")
      case .topology(let topology): say("the room is a \(topology)")
      case .left: if await room.participants.isEmpty { await room.leave() }
      case .closed(let failure?): throw failure
      default: break
      }
    }
    for key in Array(recordings.keys) { stop(key) }
    for recording in ended { say("\(try await recording.value) frames") }
  }

  /// Until the track ends, or the task is cancelled.
  static func write(_ track: MediaTransceiver, to path: String) async throws -> Int {
    var count = 0
    if track.kind == .video {
      let file = try IVFWriter(path: path + ".ivf")
      track.requestKeyFrame()
      for await frame in track.frames where try file.write(frame.data, timestamp: frame.timestamp, isKeyFrame: frame.isKeyFrame) {
        count += 1
      }
      try file.close()
    } else {
      let file = try OggOpusWriter(path: path + ".ogg")
      for await frame in track.frames {
        try file.write(frame.data)
        count += 1
      }
      try file.close()
    }
    return count
  }
}

import Foundation
import Lines
import MartletWebRTC
import MediaFiles

/// Publishes pictures and sound from files by WHIP, in real time: VP8 in IVF, Opus in Ogg.
@main struct PeerPublish {
  static let usage =
    "usage: peer-publish [--loop] FILE.ivf [FILE.ogg] http[s]://HOST/APP/NAME/whip\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    var arguments = Array(CommandLine.arguments.dropFirst())
    let loops = arguments.contains("--loop")
    arguments.removeAll { $0 == "--loop" }
    guard (2...3).contains(arguments.count), let url = arguments.popLast() else { fail(usage, status: 64) }
    do {
      try await publish(arguments, on: url, loops: loops)
    } catch {
      fail("peer-publish: \(error)", status: 1)
    }
  }

  static func publish(_ paths: [String], on url: String, loops: Bool) async throws {
    let pictures = try IVFFile(path: paths[0])
    guard pictures.codec == "VP80" else { throw PublishError(description: "\(paths[0]) holds \(pictures.codec), not VP8") }
    let sound = paths.count > 1 ? try OggOpusFile(path: paths[1]) : nil
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let peer = try PeerConnection(configuration)
    let video = try await peer.addTransceiver(.video, .sendonly)
    try await video.setCodecPreferences(["VP8"])
    let audio = sound == nil ? nil : try await peer.addTransceiver(.audio, .sendonly)
    let session = try await HTTPSession(url, peer, token: ProcessInfo.processInfo.environment["MARTLET_TOKEN"])
    say("publishing \(paths.joined(separator: " and "))")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await play(pictures, on: video, loops: loops) }
      if let sound, let audio { group.addTask { try await play(sound, on: audio, loops: loops) } }
      try await group.waitForAll()
    }
    await session.close()
    await peer.close()
    say("done")
  }
}

struct PublishError: Error, CustomStringConvertible { let description: String }

import Foundation
import Lines
import MartletWebRTC
import MediaFiles

/// Watches by WHEP and writes down what comes: VP8 into NAME.ivf, Opus into NAME.ogg.
@main struct PeerRecord {
  static let usage = "usage: peer-record http[s]://HOST/APP/NAME/whep NAME SECONDS\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 3, let seconds = Double(arguments[2]) else { fail(usage, status: 64) }
    do {
      try await record(arguments[0], as: arguments[1], for: .seconds(seconds))
    } catch {
      fail("peer-record: \(error)", status: 1)
    }
  }

  static func record(_ url: String, as name: String, for duration: Duration) async throws {
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let peer = try PeerConnection(configuration)
    let video = try await peer.addTransceiver(.video, .recvonly)
    try await video.setCodecPreferences(["VP8"])
    let audio = try await peer.addTransceiver(.audio, .recvonly)
    let session = try await HTTPSession(url, peer, token: ProcessInfo.processInfo.environment["MARTLET_TOKEN"])
    say("recording")
    async let pictures = write(video, to: name + ".ivf")
    async let sound = write(audio, to: name + ".ogg")
    try await Task.sleep(for: duration)
    await session.close()
    // Ends the sequences of frames.
    await peer.close()
    say("\(try await pictures) pictures, \(try await sound) packets of sound")
  }

  static func write(_ transceiver: MediaTransceiver, to path: String) async throws -> Int {
    var count = 0
    if transceiver.kind == .video {
      let file = try IVFWriter(path: path)
      for await frame in transceiver.frames where try file.write(frame.data, timestamp: frame.timestamp, isKeyFrame: frame.isKeyFrame) {
        count += 1
      }
      try file.close()
    } else {
      let file = try OggOpusWriter(path: path)
      for await frame in transceiver.frames {
        try file.write(frame.data)
        count += 1
      }
      try file.close()
    }
    return count
  }
}

import Foundation
import MartletClient

/// Plays an RTMP stream and says each second what came: codecs, bit rates, pictures a second.
@main struct Watch {
  static let usage = "usage: watch rtmp://HOST[:PORT]/APP/NAME [SECONDS]"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard let url = arguments.first, arguments.count <= 2 else { fail(usage, status: 64) }
    do {
      try await watch(url, seconds: arguments.count == 2 ? Int(arguments[1]) : nil)
    } catch {
      fail("watch: \(error)", status: 1)
    }
  }

  static func watch(_ url: String, seconds: Int?) async throws {
    let player = try await RTMPPlayer(url)
    let clock = ContinuousClock()
    var second = Second()
    var (lines, due) = (0, clock.now + .seconds(1))
    // A batch is everything that has come since the last one.
    for try await packets in player.batches {
      for packet in packets { second.count(packet) }
      guard clock.now >= due else { continue }
      say(second.line)
      second.startAgain()
      lines += 1
      due += .seconds(1)
      if lines == seconds { return player.close() }
    }
    say("the stream has ended")
  }

  /// What came within a second.
  struct Second {
    private var formats: [MediaFrame.Kind: MediaFormat] = [:]
    private var bytes: [MediaFrame.Kind: Int] = [:]
    private var pictures = 0

    mutating func count(_ packet: MediaPacket) {
      switch packet {
      case .format(let format): formats[format.kind] = format
      case .frame(let frame):
        bytes[frame.kind, default: 0] += frame.payload.count
        if frame.kind == .video { pictures += 1 }
      }
    }

    mutating func startAgain() { (bytes, pictures) = ([:], 0) }

    var line: String {
      let parts = MediaFrame.Kind.allCases.compactMap { kind -> String? in
        guard let format = formats[kind] else { return nil }
        let rate = "\((bytes[kind] ?? 0) * 8 / 1000) kbit/s"
        return switch kind {
        case .video: "\(format.codecString) \(format.width)x\(format.height) \(pictures) fps \(rate)"
        case .audio: "\(format.codecString) \(format.sampleRate) Hz \(format.channels) ch \(rate)"
        case .data: "data \(rate)"
        }
      }
      return parts.joined(separator: "   ")
    }
  }

  /// At once, also into a pipe.
  static func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

  static func fail(_ text: String, status: Int32) -> Never {
    FileHandle.standardError.write(Data((text + "\n").utf8))
    exit(status)
  }
}

import Foundation
import Lines
import MartletWebRTC

/// A peer connection for another program to drive: commands come as lines of JSON on standard input, what happens goes to standard
/// output. The signaling between the two peers is whatever carries these lines.
@main struct PeerAgent {
  static func main() async {
    var session: Session?
    for await line in typedLines() {
      do {
        let command = try JSONDecoder().decode(Command.self, from: Data(line.utf8))
        if let session { try await session.obey(command) } else { session = try Session(command) }
      } catch {
        tell(Report(event: "error", text: "\(error)"))
      }
    }
    await session?.peer.close()
  }
}

/// One line of standard input.
struct Command: Decodable {
  struct Server: Decodable {
    var urls: [String]
    var username: String?
    var credential: String?
  }

  /// The first is `start`. Then `offer`, `description`, `candidate`, `channel`, `send`, `close channel`, `media`, `statistics`, `close`.
  var `do`: String
  // start
  var iceServers: [Server]?
  var relayOnly: Bool?
  var udp: Bool?
  /// `none`, `active` or `passive`, which is both.
  var tcp: String?
  /// A file with the authorities that TURN servers are verified with.
  var authority: String?
  // offer
  var restart: Bool?
  // description, candidate
  var type: String?
  var sdp: String?
  var candidate: String?
  var mid: String?
  // channel, send
  var label: String?
  var text: String?
  /// How many bytes to send as one binary message.
  var bytes: Int?
  // media
  var kind: String?
  var direction: String?
  /// `VP8` and `opus` without.
  var codec: String?
  /// What to send again and again, or where to write what comes: IVF, Ogg, or bare G.722.
  var file: String?
  var record: String?
}

/// One line of standard output.
struct Report: Encodable {
  var event: String
  var text: String?
  var type: String?
  var sdp: String?
  var candidate: String?
  var mid: String?
  var label: String?
  var bytes: Int?
  /// Of the bytes, so that no byte is wrong: their sum, each times its place.
  var sum: UInt64?
  var kind: String?
  var frames: Int?
  var code: Int?
  var url: String?
  var local: String?
  var remote: String?
  var address: String?
}

func tell(_ report: Report) {
  let encoder = JSONEncoder()
  encoder.outputFormatting = .withoutEscapingSlashes
  if let data = try? encoder.encode(report) { say(String(decoding: data, as: UTF8.self)) }
}

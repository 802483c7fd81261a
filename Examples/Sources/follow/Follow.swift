import Foundation
import Lines
import MartletClient

/// Prints the events of a `text/event-stream` as they come, one JSON object a line; `tail -f` for Server-Sent Events. It comes
/// back when the connection is lost, behind the last event it saw.
@main struct Follow {
  static let usage = "usage: follow http[s]://HOST/… [LAST-EVENT-ID]\n       MARTLET_TOKEN is used when it is set"

  struct Line: Encodable {
    var id: String
    var event: String
    var data: String
  }

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard (1...2).contains(arguments.count) else { fail(usage, status: 64) }
    var options = EventSource.Options()
    if arguments.count == 2 { options.lastEventID = arguments[1] }
    if let token = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { options.headers["Authorization"] = "Bearer \(token)" }
    // What a proxy answers while its server is restarted.
    options.retriedStatuses = [502, 503, 504]
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      for try await event in EventSource(arguments[0], options) {
        let line = Line(id: event.id, event: event.event, data: event.data)
        say(String(decoding: try encoder.encode(line), as: UTF8.self))
      }
    } catch {
      fail("follow: \(error)", status: 1)
    }
  }
}

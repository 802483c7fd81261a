import Foundation
import Lines
import MartletClient

/// A chat in the terminal: shows who comes, who goes and what they say, and says what is typed. It may lose its connection,
/// and its server be restarted: nothing is missed and nothing is said twice.
@main struct Chat {
  static let usage = "usage: chat ws://HOST[:PORT] CHANNEL NAME\n       MARTLET_TOKEN is used when it is set"

  /// What travels, as JSON.
  struct Line: Codable {
    var name: String
    var text: String
  }

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 3 else { fail(usage, status: 64) }
    do {
      try await chat(arguments[0], on: arguments[1], as: arguments[2])
    } catch {
      fail("chat: \(error)", status: 1)
    }
  }

  static func chat(_ url: String, on channel: String, as name: String) async throws {
    var token: ChannelClient.TokenProvider?
    if let text = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { token = { text } }
    let client = ChannelClient(url, token: token)
    let subscription = try await client.subscribe(
      channel, last: 10, presence: true, info: try json(["name": name]))
    say("* you are on \(channel)")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { for try await event in subscription { show(event) } }
      group.addTask {
        for await text in typedLines() where !text.isEmpty {
          // Waits for a server that is away, and tries again without saying it twice.
          try await client.publish(.json(try json(Line(name: name, text: text))), to: channel)
        }
        client.close()
      }
      while try await group.next() != nil {}
    }
  }

  static func show(_ event: ChannelEvent) {
    switch event {
    case .message(let message):
      let line = message.text.flatMap { try? JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
      say(line.map { "\($0.name): \($0.text)" } ?? message.text ?? "(\(message.type))")
    case .presence(let joined, let member): say("* \(name(of: member)) \(joined ? "came" : "left")")
    case .lost: say("* some messages were missed")
    case .interrupted: say("* the connection is lost")
    case .resumed: say("* the connection is back")
    }
  }

  static func name(of member: ChannelMember) -> String {
    let info = member.info.flatMap { try? JSONDecoder().decode([String: String].self, from: Data($0.utf8)) }
    return member.user ?? info?["name"] ?? member.client
  }

  static func json(_ value: some Encodable) throws -> String { String(decoding: try JSONEncoder().encode(value), as: UTF8.self) }
}

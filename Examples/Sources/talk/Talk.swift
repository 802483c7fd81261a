import Foundation
import Lines
import MartletClient

/// A WebSocket in the terminal: sends each line as a text message and prints what comes. `/binary N` sends N bytes, `/close
/// CODE REASON` closes; so does the end of the input.
@main struct Talk {
  static let usage = "usage: talk ws[s]://HOST/… [SUBPROTOCOL…]"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard let url = arguments.first else { fail(usage, status: 64) }
    var options = WebSocket.Options()
    options.subprotocols = Array(arguments.dropFirst())
    do {
      try await talk(try await WebSocket(url, options))
    } catch {
      fail("talk: \(error)", status: 1)
    }
  }

  static func talk(_ socket: WebSocket) async throws {
    say("* open, protocol \"\(socket.protocol)\", extensions \"\(socket.extensions)\"")
    let typing = Task {
      for await line in typedLines() {
        let words = line.split(separator: " ", maxSplits: 2).map(String.init)
        switch words.first {
        case "/binary": try await socket.send([UInt8](repeating: 0x2A, count: words.count > 1 ? Int(words[1]) ?? 0 : 0))
        case "/close":
          let code = words.count > 1 ? UInt16(words[1]) ?? 1000 : 1000
          return try await socket.close(code: code, reason: words.count > 2 ? words[2] : "")
        default: try await socket.send(line)
        }
      }
      return try await socket.close()
    }
    for try await message in socket.messages {
      switch message {
      case .text(let text): say(text.utf8.count <= 200 ? text : "* text, \(text.utf8.count) bytes")
      case .binary(let bytes): say("* binary, \(bytes.count) bytes")
      }
    }
    // The server may have closed first: then nobody waits for what is still typed.
    let closure = if let closure = socket.closure { closure } else { try await typing.value }
    say("* \(closure)")
  }
}

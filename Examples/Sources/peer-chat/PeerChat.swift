import Lines
import MartletWebRTC
import Meeting

/// Two terminals that talk over a WebRTC data channel. They find each other in a channel of a server: what is typed goes from one to the
/// other.
@main struct PeerChat {
  static let usage = "usage: peer-chat ws://HOST[:PORT] CHANNEL\n       MARTLET_TOKEN is used when it is set"

  static func main() async {
    let arguments = Array(CommandLine.arguments.dropFirst())
    guard arguments.count == 2 else { fail(usage, status: 64) }
    do {
      try await talk(arguments[0], on: arguments[1])
    } catch {
      fail("peer-chat: \(error)", status: 1)
    }
  }

  static func talk(_ url: String, on room: String) async throws {
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let peer = try PeerConnection(configuration)
    let meeting = try await Meeting(url, room: room)
    say("* waiting for the other one on \(room)")
    try await meeting.run(peer) {
      let channel = try await peer.createDataChannel("chat")
      Task { await use(channel, of: peer) }
    } react: { event in
      switch event {
      case .dataChannel(let channel): Task { await use(channel, of: peer) }
      case .connectionState(let state): say("* \(state.rawValue)")
      default: break
      }
    }
  }

  static func use(_ channel: DataChannel, of peer: PeerConnection) async {
    guard await channel.waitUntilOpen() else { return }
    say("* \(await peer.statistics.remoteAddress ?? "?") is there; what you type goes straight to it")
    let typing = Task {
      for await line in typedLines() where !line.isEmpty { try? await channel.send(line) }
      await peer.close()
    }
    for await message in channel.messages { if case .text(let text) = message { say("> \(text)") } }
    typing.cancel()
    await peer.close()
  }
}

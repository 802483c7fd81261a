import Foundation
import Lines
import MartletClient
import MartletWebRTC

/// Two terminals that talk over a WebRTC data channel. They find each other in a channel of a server, which carries descriptions
/// and candidates only: what is typed goes from one to the other.
@main struct PeerChat {
  static let usage = "usage: peer-chat ws://HOST[:PORT] CHANNEL\n       MARTLET_TOKEN is used when it is set"

  /// What travels through the server, as JSON. Who hears a hello makes the offer.
  struct Signal: Codable {
    var from: String
    /// `hello`, `offer`, `answer` or `candidate`.
    var kind: String
    var text = ""
    var mid: String?
  }

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
    var token: ChannelClient.TokenProvider?
    if let text = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { token = { text } }
    let client = ChannelClient(url, token: token)
    let subscription = try await client.subscribe(room)
    let me = UUID().uuidString
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    let peer = try PeerConnection(configuration)

    @Sendable func send(_ kind: String, _ text: String = "", mid: String? = nil) async throws {
      let signal = try JSONEncoder().encode(Signal(from: me, kind: kind, text: text, mid: mid))
      try await client.publish(.json(String(decoding: signal, as: UTF8.self)), to: room)
    }

    say("* waiting for the other one on \(room)")
    try await send("hello")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for try await case .message(let message) in subscription {
          guard let text = message.text, let signal = try? JSONDecoder().decode(Signal.self, from: Data(text.utf8)), signal.from != me
          else { continue }
          switch signal.kind {
          case "hello" where await peer.signalingState == .stable:
            let channel = try await peer.createDataChannel("chat")
            Task { await use(channel, of: peer) }
            try await peer.setLocalDescription()
            try await send("offer", await peer.localDescription?.sdp ?? "")
          case "offer":
            try await peer.setRemoteDescription(.init(.offer, sdp: signal.text))
            try await peer.setLocalDescription()
            try await send("answer", await peer.localDescription?.sdp ?? "")
          case "answer": try await peer.setRemoteDescription(.init(.answer, sdp: signal.text))
          case "candidate": try await peer.add(.init(signal.text, mid: signal.mid))
          default: break
          }
        }
      }
      group.addTask {
        for await event in peer.events {
          switch event {
          case .candidate(let candidate): if let candidate { try await send("candidate", candidate.candidate, mid: candidate.mid) }
          case .dataChannel(let channel): Task { await use(channel, of: peer) }
          case .connectionState(let state): say("* \(state.rawValue)")
          default: break
          }
        }
      }
      // The first that ends, ends the program: the peer is gone, or the server is.
      _ = try await group.next()
      group.cancelAll()
      client.close()
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

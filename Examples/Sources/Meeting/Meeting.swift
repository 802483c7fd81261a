import Foundation
import MartletClient
import MartletWebRTC

/// Where two programs find each other: a channel of a server, which carries descriptions and candidates only. Both may come at once, so
/// that neither is first: the one whose name is less makes the offer.
public struct Meeting: Sendable {
  /// What travels through the server, as JSON.
  private struct Signal: Codable {
    var from: String
    /// `hello`, `offer`, `answer` or `candidate`.
    var kind: String
    var text = ""
    var mid: String?
  }

  private let client: ChannelClient
  private let subscription: ChannelSubscription
  private let room: String
  private let me = UUID().uuidString

  /// - Parameter url: `ws://HOST[:PORT]`. `MARTLET_TOKEN` is used when it is set.
  public init(_ url: String, room: String) async throws {
    var token: ChannelClient.TokenProvider?
    if let text = ProcessInfo.processInfo.environment["MARTLET_TOKEN"] { token = { text } }
    client = ChannelClient(url, token: token)
    subscription = try await client.subscribe(room)
    self.room = room
  }

  /// Connects `peer` with the other one and goes on for as long as they talk. What happens to it is for `react`.
  ///
  /// - Parameter prepare: what the side that makes the offer has to offer.
  public func run(
    _ peer: PeerConnection, prepare: @escaping @Sendable () async throws -> Void,
    react: @escaping @Sendable (PeerConnection.Event) async throws -> Void
  ) async throws {
    try await send("hello")
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await listen(peer, prepare) }
      group.addTask {
        for await event in peer.events {
          if case .candidate(let candidate?) = event { try await send("candidate", candidate.candidate, mid: candidate.mid) }
          try await react(event)
        }
      }
      // The first that ends, ends the meeting: the peer is gone, or the server is.
      defer { client.close() }
      _ = try await group.next()
      group.cancelAll()
    }
  }

  private func listen(_ peer: PeerConnection, _ prepare: @Sendable () async throws -> Void) async throws {
    var met: Set<String> = []
    for try await case .message(let message) in subscription {
      guard let text = message.text, let signal = try? JSONDecoder().decode(Signal.self, from: Data(text.utf8)), signal.from != me
      else { continue }
      switch signal.kind {
      case "hello" where !met.insert(signal.from).inserted: break
      // The other one may have come later than our hello.
      case "hello" where signal.from < me: try await send("hello")
      case "hello":
        try await prepare()
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

  private func send(_ kind: String, _ text: String = "", mid: String? = nil) async throws {
    let signal = try JSONEncoder().encode(Signal(from: me, kind: kind, text: text, mid: mid))
    try await client.publish(.json(String(decoding: signal, as: UTF8.self)), to: room)
  }
}

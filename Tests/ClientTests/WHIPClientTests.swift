@testable import MartletClient
import MartletServer
import MartletWebRTC
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct WHIPClientTests {
  private func withLive(_ body: (_ url: @escaping (String) -> String) async throws -> Void) async throws {
    try await withServer {
      try $0.listen(http: 0, webrtc: 0)
      try $0.set("webrtc.addresses", "[127.0.0.1]")
    } _: { _, url in
      try await body { url("http", $0) }
    }
  }

  private func peer() throws -> PeerConnection {
    var configuration = PeerConnection.Configuration()
    configuration.includesLoopback = true
    return try PeerConnection(configuration)
  }

  private func connect(_ peer: PeerConnection, to url: String) async throws -> WHIPSession {
    try await peer.setLocalDescription()
    let session = try await WHIPClient(url).open(offer: peer.localDescription?.sdp ?? "")
    try await peer.setRemoteDescription(.init(.answer, sdp: session.answer))
    for await case .candidate(let candidate) in peer.events {
      let description = await peer.localDescription?.sdp ?? ""
      try await session.trickle(candidate.map { [$0.candidate] } ?? [], of: description, isLast: candidate == nil)
      if candidate == nil { break }
    }
    try await peer.waitUntilConnected()
    return session
  }

  @Test func `what is published by WHIP is watched by WHEP, through a restart of ICE`() async throws {
    try await withLive { url in
      let (publisher, viewer) = (try peer(), try peer())
      let microphone = try await publisher.addTransceiver(.audio, .sendonly)
      let session = try await connect(publisher, to: url("live/mic/whip"))
      let speaking = Task {
        for n in 0... {
          let silence: [UInt8] = [0xFC, 0xFF, 0xFE, UInt8(truncatingIfNeeded: n)]
          try await microphone.send(.init(timestamp: UInt32(n * 960), isKeyFrame: true, data: silence))
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      defer { speaking.cancel() }
      let speaker = try await viewer.addTransceiver(.audio, .recvonly)
      let watching = try await connect(viewer, to: url("live/mic/whep"))
      var frames = speaker.frames.makeAsyncIterator()
      #expect(await frames.next()?.data.prefix(3) == [0xFC, 0xFF, 0xFE])

      let offer = try await publisher.createOffer(restartICE: true)
      try await publisher.setLocalDescription(offer)
      let answer = try await session.restart(offer: offer.sdp)
      #expect(answer != session.answer)
      try await publisher.setRemoteDescription(.init(.answer, sdp: answer))
      for _ in 0..<30 { #expect(await frames.next() != nil) }

      await watching.close()
      await session.close()
      for peer in [publisher, viewer] { await peer.close() }
    }
  }

  @Test func `a refusal has the server's status and words`() async throws {
    try await withLive { url in
      func failure(_ path: String, _ offer: String) async -> WHIPClient.Failure? {
        do throws(WHIPClient.Failure) {
          _ = try await WHIPClient(url(path)).open(offer: offer)
          return nil
        } catch { return error }
      }
      let garbage = await failure("live/mic/whip", "no offer")
      #expect(garbage?.code == .refused)
      #expect(garbage?.status == 400)
      #expect(garbage?.isFinal == true)
      #expect((garbage?.description.count ?? 0) > 30, "\(garbage?.description ?? "")")
      #expect(await failure("healthz", "v=0")?.status == 405)
    }
    let nobody = WHIPClient("http://127.0.0.1:1/live/mic/whip")
    await #expect(throws: WHIPClient.Failure.self) { _ = try await nobody.open(offer: "v=0") }
  }

  // RFC 9725 §4.6, RFC 8288 §3
  @Test func `ICE servers are read out of Link fields`() {
    let fields = [
      #"<stun:a.example:3478>; rel="ice-server", </style.css>;rel=preload"#,
      #"<turn:b.example?transport=tcp> ; rel=ice-server; username="u\"1,;"; credential="c d"; credential-type="password""#,
      "<turn:broken", ";", "", "<x>;rel", "<y>;=;;,,<stun:c.example>;rel=\"ice-server\"",
    ]
    #expect(
      ICEServer.all(in: fields) == [
        ICEServer(url: "stun:a.example:3478", username: nil, credential: nil),
        ICEServer(url: "turn:b.example?transport=tcp", username: "u\"1,;", credential: "c d"),
        ICEServer(url: "stun:c.example", username: nil, credential: nil),
      ])
    #expect(ICEServer.all(in: Array(repeating: "<stun:x>;rel=ice-server", count: 1000)).count == 32)
  }
}

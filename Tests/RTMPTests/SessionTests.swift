import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

@Suite struct SessionPairTests {
  private func payload(_ count: Int) -> Slice { Slice((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }) }

  @Test(arguments: [nil, 1, 7, 1536, 100_000], [ClientHandshake.Mode.simple, .digestFirst, .keyFirst])
  func `a client publishes, however its bytes are cut`(step: Int?, handshake: ClientHandshake.Mode) throws {
    var pair = Conversation(.publish(), step: step, name: "cam?token=secret", handshake: handshake)
    try pair.run()
    let connected = pair.clientEvents.first
    #expect(connected == .connected(.martlet))
    #expect(pair.clientEvents.last == .publishing)
    guard case .connect(let connect) = pair.serverEvents.first, case .publish(let publish) = pair.serverEvents.last else {
      Issue.record("the server heard of no connect and publish")
      return
    }
    #expect(connect.app == "live" && connect.tcURL == "rtmp://localhost/live" && connect.capabilities == .martlet)
    #expect(publish.streamID == 1 && publish.name == "cam" && publish.query["token"] == "secret" && publish.type == "live")

    let (size, deadline) = (pair.server.outgoingChunkSize, pair.server.deadline)
    #expect(size == 65_536 && deadline == nil)
    let metadata = AMF0.encode(["onMetaData", .ecmaArray([AMFProperty("width", 1920)])])
    pair.client.sendMedia(.data, timestamp: 0, Slice(metadata))
    for index in 0..<20 {
      pair.client.sendMedia(.video, timestamp: UInt32(index * 33), payload(index == 0 ? 150_000 : 3000 + index))
      pair.client.sendMedia(.audio, timestamp: UInt32(index * 33 + 1), payload(200))
    }
    try pair.run()
    let media = pair.media
    #expect(media.count == 41 && media[0].payload == Slice(metadata), "without @setDataFrame")
    #expect(media[1].payload == payload(150_000) && media.filter { $0.type == .audio }.map(\.timestamp) == (0..<20).map { $0 * 33 + 1 })

    pair.client.finish()
    try pair.run()
    guard case .closeStream(1) = pair.serverEvents.last else {
      Issue.record("the end was not told")
      return
    }
    #expect(pair.serverEvents.filter { if case .closeStream = $0 { true } else { false } }.count == 1)
  }

  @Test(arguments: [nil, 1, 100_000]) func `a client plays, and hears of the end once`(step: Int?) throws {
    var pair = Conversation(.play(), step: step)
    try pair.run()
    #expect(pair.clientEvents.last == .playing)
    #expect(pair.statusCodes == ["NetStream.Play.Reset", "NetStream.Play.Start"])
    let player = pair.server.playerStreamID
    #expect(player == 1)
    var wire: [UInt8] = []
    for index in 0..<5 {
      let image = ChunkWriter.wireImage(
        type: .video, chunkStreamID: ChunkStreamID.video, streamID: 1, timestamp: UInt32(0xFF_FFF0 + index * 10),
        payloadParts: [payload(100_000)], chunkSize: pair.server.outgoingChunkSize)
      wire += image.array
      if index == 2 {
        // What the session itself says in between must not disturb the shared headers.
        pair.server.ping(now: pair.now)
        pair.server.unpublishNotify(1)
        pair.server.publishNotify(1)
        wire += pair.server.takeOutput()
      }
    }
    try pair.deliverDown(wire)
    try pair.run()
    let media = pair.clientEvents.compactMap { if case .media(let message) = $0 { message } else { nil } }
    #expect(media.map(\.timestamp) == (0..<5).map { UInt32(0xFF_FFF0 + $0 * 10) } && media.allSatisfy { $0.payload == payload(100_000) })
    let roundTrip = pair.server.roundTrip
    #expect(roundTrip != nil)
    pair.clientEvents = []
    pair.server.playEnded(1)
    try pair.run()
    #expect(pair.clientEvents.filter { $0 == .ended }.count == 1)
    #expect(pair.statusCodes == ["NetStream.Play.UnpublishNotify", "NetStream.Play.Stop"])
  }

  @Test func `a client hears why it was refused`() throws {
    var pair = Conversation(.publish())
    pair.acceptsConnect = false
    try pair.run()
    pair.server.rejectConnect(description: "no such application")
    try pair.run()
    #expect(pair.clientEvents == [.failed(code: "NetConnection.Connect.Rejected", description: "no such application")])
    let (server, client) = (pair.server.isClosed, pair.client.isClosed)
    #expect(server && client)

    var second = Conversation(.publish())
    second.acceptsStream = false
    try second.run()
    second.server.rejectPublish(1, description: "cam is being published")
    try second.run()
    #expect(second.clientEvents.last == .failed(code: "NetStream.Publish.BadName", description: "cam is being published"))

    var third = Conversation(.play())
    third.acceptsStream = false
    try third.run()
    third.server.rejectPlay(1, description: "no stream cam")
    try third.run()
    #expect(third.clientEvents.last == .failed(code: "NetStream.Play.StreamNotFound", description: "no stream cam"))
  }

  @Test func `a publisher that the server ends later hears it`() throws {
    var pair = Conversation(.publish())
    try pair.run()
    pair.server.rejectPublish(1, code: "NetStream.Publish.Denied", description: "the token has expired")
    try pair.run()
    #expect(pair.clientEvents.last == .failed(code: "NetStream.Publish.Denied", description: "the token has expired"))
    let sent = pair.client.sendMedia(.video, timestamp: 0, [0x17])
    #expect(!sent)
  }

  // RTMP 1.0 §5.4.3, §5.4.4.
  @Test func `the server is told what the client has received`() throws {
    var configuration = ServerSessionConfiguration()
    configuration.windowAcknowledgementSize = 10_000
    var pair = Conversation(.play(), step: 1000, server: configuration)
    try pair.run()
    let image = ChunkWriter.wireImage(
      type: .video, chunkStreamID: 6, streamID: 1, timestamp: 5, payloadParts: [payload(25_000)], chunkSize: 65_536)
    try pair.deliverDown(image.array)
    try pair.run()
    let counts = pair.serverEvents.compactMap { if case .acknowledged(let bytes) = $0 { bytes } else { nil } }
    #expect(counts.count == 2 && counts.allSatisfy { $0 >= 10_000 && $0 < 32_000 })
  }

  @Test func `the player's pause and the server's answer`() throws {
    var pair = Conversation(.play())
    try pair.run()
    pair.client.pause(true, milliseconds: 1500)
    try pair.run()
    guard case .pause(1, true, 1500) = pair.serverEvents.last else {
      Issue.record("no pause")
      return
    }
    pair.server.pauseNotify(1, paused: true)
    try pair.run()
    #expect(pair.statusCodes.last == "NetStream.Pause.Notify")
  }

  @Test func `a client that gets no answer gives up`() throws {
    var random = SeededRandom(seed: 1)
    let configuration = ClientSessionConfiguration(app: "a", tcURL: "rtmp://h/a", streamName: "s", purpose: .play())
    var client = ClientSession(configuration, now: .zero, random: &random)
    let deadline = client.deadline
    #expect(deadline == .zero + .seconds(10))
    do {
      try client.timeout(now: .zero + .seconds(9))
      try client.timeout(now: .zero + .seconds(10))
      Issue.record("no time-out")
    } catch {
      #expect(error == .timedOut(waitingFor: "complete RTMP handshake", after: .seconds(10)))
    }
  }

  @Test(arguments: 0..<40) func `bytes that go wrong anywhere never trap either side`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var pair = Conversation(seed % 2 == 0 ? .publish() : .play(), seed: seed)
    do {
      for _ in 0..<30 {
        var (up, down) = (pair.client.takeOutput(), pair.server.takeOutput())
        pair.client.sendMedia(.video, timestamp: 5, payload(300))
        if let at = up.indices.randomElement(using: &random), Bool.random(using: &random) {
          up[at] ^= UInt8.random(in: 1...255, using: &random)
        }
        if let at = down.indices.randomElement(using: &random), Bool.random(using: &random) { down[at] ^= 1 }
        try pair.deliverUp(up)
        try pair.deliverDown(down)
      }
    } catch {
      #expect(!"\(error)".isEmpty)
    }
  }
}

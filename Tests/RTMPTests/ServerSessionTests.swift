import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

@Suite struct ServerSessionTests {
  private func publisher() throws(RTMPError) -> RawClient {
    var client = try RawClient()
    try client.command("createStream", 2)
    try client.command("publish", 3, .null, ["cam", "live"], on: 1)
    return client
  }

  private func video(_ stream: UInt32 = 1, type: MessageType = .video, _ payload: Slice = [0x17, 0]) -> RTMPMessage {
    RTMPMessage(type: type, streamID: stream, timestamp: 5, chunkStreamID: 6, payload: payload)
  }

  // RTMP 1.0 §7.2.1.1; the query string may follow the application or the URL.
  @Test func `connect tells application, credentials and capabilities`() throws {
    var client = try RawClient(connects: false)
    let object = AMFValue.object([
      "app": "/live/?token=a%20b", "tcUrl": "rtmp://h/live?token=other&user=u", "flashVer": "FMLE/3.0", "objectEncoding": 3,
      "fourCcList": .strictArray(["hvc1", "av01"]), "videoFourCcInfoMap": .object(["*": 7]), "capsEx": 5,
    ])
    try client.command("connect", 1, object)
    guard case .connect(let request) = client.events.last else {
      Issue.record("no connect")
      return
    }
    #expect(request.app == "live" && request.query["token"] == "a b" && request.query["user"] == "u")
    #expect(request.flashVersion == "FMLE/3.0" && request.objectEncoding == 3)
    #expect(request.capabilities.fourCCs == ["hvc1", "av01"] && request.capabilities.video == [.init("*", 7)])
    #expect(request.capabilities.capsEx == 5)
  }

  // RTMP 1.0 §7.2.1.1, figure 4.
  @Test func `the answer to connect begins with windows and chunk size`() throws {
    var client = try RawClient()
    #expect(
      client.answers.map(\.type) == [.windowAcknowledgementSize, .setPeerBandwidth, .userControl, .command],
      "Set Chunk Size is taken by the reader")
    let answer = client.commands().first
    #expect(answer?.name == "_result" && answer?.transaction == 1)
    #expect(answer?.argument(0)["code"] == "NetConnection.Connect.Success")
    #expect(answer?.argument(0)["fourCcList"] == nil, "nobody asked for enhanced RTMP")
  }

  @Test func `commands before connect end the session`() throws {
    var client = try RawClient(connects: false)
    #expect(throws: RTMPError.unexpected("\"createStream\" came before connect")) { try client.command("createStream", 1) }
    #expect(throws: RTMPError.closed) { try client.command("connect", 1) }
  }

  @Test func `what comes while connect is undecided waits`() throws {
    var client = try RawClient(connects: false)
    try client.command("connect", 1, .object(["app": "live"]))
    try client.command("createStream", 2)
    try client.command("publish", 3, .null, ["cam"], on: 1)
    #expect(client.events.count == 1 && client.answers.isEmpty)
    try client.server.acceptConnect()
    try client.drain()
    #expect(client.events.count == 2 && client.commands().map(\.name) == ["_result", "_result"])
  }

  @Test func `what comes while a decision is awaited is bounded`() throws {
    var client = try RawClient(connects: false)
    try client.command("connect", 1, .object(["app": "live"]))
    #expect(throws: RTMPError.self) {
      for _ in 0..<20_000 { try client.command("createStream", 2) }
    }
    var second = try publisher()
    #expect(throws: RTMPError.self) {
      for _ in 0..<20 { try second.send(video(1, Slice([UInt8](repeating: 1, count: 100_000)))) }
    }
  }

  @Test func `media before the answer to publish is kept for the publisher that is accepted`() throws {
    var client = try publisher()
    try client.send(video())
    try client.send(video(type: .audio, [0xAF, 0]))
    #expect(client.events.count == 2)
    client.server.acceptPublish(1)
    try client.drain()
    #expect(client.events.count == 4)
    #expect(client.codes().contains("NetStream.Publish.Start"))
  }

  @Test func `media of a refused publisher is dropped`() throws {
    var client = try publisher()
    try client.send(video())
    client.server.rejectPublish(1, description: "in use")
    try client.send(video())
    #expect(client.events.count == 2 && client.codes().last == "NetStream.Publish.BadName")
    // It may try another name on the same stream.
    try client.command("publish", 4, .null, ["other"], on: 1)
    #expect(client.events.count == 3)
  }

  @Test(arguments: [0, 1, 7] as [UInt32]) func `media without publish ends the session`(stream: UInt32) throws {
    var client = try RawClient()
    try client.command("createStream", 2)
    #expect(throws: RTMPError.self) { try client.send(video(stream)) }
  }

  @Test func `media of a stream that was just deleted is dropped`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    try client.command("deleteStream", 0, .null, [1])
    try client.send(video())
    guard case .closeStream(1) = client.events.last else {
      Issue.record("no closeStream")
      return
    }
    try client.command("createStream", 5)
    #expect(client.commands().last?.argument(0) == 1, "its id is free again")
  }

  @Test func `publishing twice on one stream is answered with an error`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    try client.command("publish", 4, .null, ["again"], on: 1)
    #expect(client.codes().last == "NetStream.Publish.BadName" && client.events.count == 2)
    try client.command("publish", 4, .null, ["x"], on: 9)
    #expect(client.codes() == ["NetStream.Failed"])
    let closed = client.server.isClosed
    #expect(!closed)
  }

  @Test func `an encoder's small commands are answered`() throws {
    var client = try RawClient()
    _ = client.commands()
    try client.command("releaseStream", 2, .null, ["cam"])
    try client.command("FCPublish", 3, .null, ["cam?token=x"])
    try client.command("createStream", 4)
    try client.command("_checkbw", 5)
    try client.command("getStreamLength", 6, .null, ["cam"])
    try client.command("doesNotExist", 7)
    try client.command("neitherThis", 0)
    let answers = client.commands()
    #expect(answers.map(\.name) == ["_result", "_result", "onFCPublish", "_result", "_result", "_result", "_error"])
    #expect(answers.map(\.transaction) == [2, 3, 0, 4, 5, 6, 7] && answers[3].argument(0) == 1 && answers[5].argument(0) == 0)
  }

  @Test func `FCUnpublish ends the publishing once`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    try client.command("FCUnpublish", 5, .null, ["cam"])
    try client.command("closeStream", 0, .null, [], on: 1)
    try client.command("deleteStream", 0, .null, [1])
    #expect(client.events.count == 3)
    #expect(client.codes().suffix(2) == ["NetStream.Unpublish.Success", "NetStream.Unpublish.Success"])
  }

  @Test func `streams of a connection are counted`() throws {
    var client = try RawClient()
    for index in 0..<17 { try client.command("createStream", Double(index + 2)) }
    #expect(client.commands().last?.name == "_error")
  }

  @Test func `play tells its arguments, and AMF3 clients are answered in kind`() throws {
    var client = try RawClient()
    try client.command("createStream", 2, encoding: .amf3)
    try client.command("play", 0, .null, ["cam?token=t", -1, 10, false], on: 1, encoding: .amf3)
    guard case .play(let request) = client.events.last else {
      Issue.record("no play")
      return
    }
    #expect(request == PlayRequest(streamID: 1, name: "cam", query: QueryParameters("token=t"), start: -1, duration: 10, reset: false))
    client.server.acceptPlay(1, reset: request.reset)
    try client.drain()
    let last = client.answers.last { $0.type == .commandAMF3 }
    #expect(last?.payload.bytes.byte(at: 0) == 0 && client.codes().last == "NetStream.Play.Start")
    try client.command("receiveAudio", 0, .null, [false], on: 1)
    try client.command("seek", 0, .null, [500], on: 1)
    guard case .seek(1, 500) = client.events.last, case .receiveAudio(1, false) = client.events[client.events.count - 2] else {
      Issue.record("no seek")
      return
    }
    // A second play on the stream ends the first.
    try client.command("play", 0, .null, ["other"], on: 1)
    guard case .closeStream(1) = client.events[client.events.count - 2], case .play(let next) = client.events.last else {
      Issue.record("no second play")
      return
    }
    #expect(next.name == "other" && next.start == -2 && next.duration == -1 && next.reset)
  }

  @Test func `metadata in AMF3 reaches viewers in AMF0`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    let object = AMF3.encode([.object(["width": 640])])
    let payload = [0] + AMF0.encode(["@setDataFrame", "onMetaData"]) + [0x11] + object
    try client.send(video(type: .dataAMF3, Slice(payload)))
    guard case .media(1, let message) = client.events.last else {
      Issue.record("no media")
      return
    }
    #expect(message.type == .data)
    #expect(try AMF0.decode(message.payload) == ["onMetaData", .object(["width": 640])])
  }

  @Test func `aggregates arrive as their messages`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    let tags: [UInt8] = [8, 0, 0, 1, 0, 0, 9, 0, 0, 0, 0, 0xAF, 0, 0, 0, 12, 9, 0, 0, 1, 0, 0, 19, 0, 0, 0, 0, 0x27, 0, 0, 0, 12]
    try client.send(video(type: .aggregate, Slice(tags)))
    let times = client.events.compactMap { if case .media(_, let message) = $0 { message.timestamp } else { nil } }
    #expect(times == [5, 15])
  }

  // RTMP 1.0 §5.4.3, §5.4.4.
  @Test func `the client is told what the server has received, once per window and read`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    try client.send(ProtocolControl.windowAcknowledgementSize(1000).message)
    client.answers = []
    for _ in 0..<4 { try client.send(video(1, Slice([UInt8](repeating: 1, count: 600)))) }
    #expect(client.answers.filter { $0.type == .acknowledgement }.count == 2)
    // A window of one byte does not make an answer out of every byte.
    try client.send(ProtocolControl.windowAcknowledgementSize(1).message)
    client.answers = []
    try client.send(video(1, Slice([UInt8](repeating: 1, count: 600))))
    #expect(client.answers.count == 1)
    // Zero asks for none.
    try client.send(ProtocolControl.windowAcknowledgementSize(0).message)
    client.answers = []
    try client.send(video())
    #expect(client.answers.isEmpty)
  }

  // RTMP 1.0 §5.4.5.
  @Test func `another bandwidth than our window is answered with the window`() throws {
    var client = try RawClient()
    client.answers = []
    try client.send(ProtocolControl.setPeerBandwidth(2_500_000, .dynamic).message)
    try client.send(ProtocolControl.setPeerBandwidth(0, .dynamic).message)
    #expect(client.answers.isEmpty)
    try client.send(ProtocolControl.setPeerBandwidth(5_000_000, .hard).message)
    #expect(try client.answers.map { try ProtocolControl($0) } == [.windowAcknowledgementSize(5_000_000)])
  }

  // RTMP 1.0 §7.1.7.
  @Test func `pings are answered`() throws {
    var client = try RawClient()
    _ = client.commands()
    try client.send(UserControl.pingRequest(99).message)
    #expect(try client.answers.map { try UserControl($0) } == [.pingResponse(99)])
    try client.send(UserControl.setBufferLength(1, milliseconds: 3000).message)
    guard case .bufferLength(1, 3000) = client.events.last else {
      Issue.record("no buffer length")
      return
    }
    try client.send(ProtocolControl.acknowledgement(77).message)
    guard case .acknowledged(77) = client.events.last else {
      Issue.record("no acknowledgement")
      return
    }
  }

  @Test func `a handshake that is not finished in ten seconds is closed, as is a client that never connects`() throws {
    var random = SeededRandom(seed: 1)
    var server = ServerSession(now: .zero, random: &random)
    for second in 0..<9 {
      let byte: [UInt8] = [second == 0 ? 3 : 0]
      try server.receive(byte.span.bytes, now: .zero + .seconds(second))
      try server.timeout(now: .zero + .seconds(second))
    }
    let deadline = server.deadline
    #expect(deadline == .zero + .seconds(10))
    do {
      try server.timeout(now: .zero + .seconds(10))
      Issue.record("the handshake goes on for ever")
    } catch {
      #expect("\(error)" == "no complete RTMP handshake within 10.0 s")
    }
    var silent = try RawClient(connects: false)
    let next = silent.server.deadline
    #expect(next == .zero + .seconds(10))
    #expect(throws: RTMPError.timedOut(waitingFor: "connect command", after: .seconds(10))) {
      try silent.server.timeout(now: .zero + .seconds(11))
    }
  }

  @Test func `AMF nested 5,000 deep in connect is one clear error`() throws {
    var client = try RawClient(connects: false)
    var bytes = AMF0.encode(["connect", 1])
    for _ in 0..<5000 { bytes += [3, 0, 1, 0x61] }
    let message = RTMPMessage(type: .command, streamID: 0, timestamp: 0, chunkStreamID: 3, payload: Slice(bytes))
    #expect(throws: RTMPError.malformedMessage(.command, .limit("AMF nesting", maximum: 32))) { try client.send(message) }
  }

  @Test func `before publish is accepted no client may make us hold much`() throws {
    let claim: [UInt8] = [0x06, 0, 0, 5, 0x20, 0, 0, 9, 1, 0, 0, 0]  // 2 MiB
    var stranger = try RawClient()
    #expect(throws: RTMPError.limit("bytes of a video message", value: 2 << 20, maximum: 1 << 20)) { try stranger.raw(claim) }
    var publisher = try publisher()
    publisher.server.acceptPublish(1)
    try publisher.raw(claim + [1, 2, 3])
    let held = publisher.server.unfinishedBytes
    #expect(held == 3)
  }

  @Test func `nothing is sent or told after the end`() throws {
    var client = try publisher()
    #expect(throws: RTMPError.self) { try client.raw([0xC9]) }
    _ = client.server.takeOutput()
    client.server.acceptPublish(1)
    client.server.playEnded(1)
    client.server.ping(now: .zero)
    try client.server.acceptConnect()
    client.server.rejectConnect(description: "late")
    let output = client.server.takeOutput()
    #expect(output.isEmpty)
  }

  @Test func `what came whole before an error still counts`() throws {
    var client = try publisher()
    client.server.acceptPublish(1)
    let good = ChunkWriter.wireImage(
      type: .video, chunkStreamID: 6, streamID: 1, timestamp: 5, payloadParts: [[0x17, 0]], chunkSize: 128)
    let before = client.events.count
    #expect(throws: RTMPError.self) { try client.raw(good.array + [0xC9]) }
    try client.drain()
    #expect(client.events.count == before + 1)
  }
}

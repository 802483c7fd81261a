import MartletPrimitives
import MartletRTMP

/// AMF, the chunk layer and whole sessions.
extension FuzzEntry {
  static let rtmp = [amf0, amf3, chunks, serverSession, clientSession]

  private static let values: [AMFValue] = [
    "connect", 1,
    .object([AMFProperty("app", "live"), AMFProperty("n", .null), AMFProperty("list", .strictArray([1, true, .undefined]))]),
    .ecmaArray([AMFProperty("width", 1280)]), .date(milliseconds: 5, timeZone: 0), .typedObject(name: "T", [AMFProperty("a", "b")]),
  ]

  private static let amf0 = FuzzEntry("amf0", seeds: [AMF0.encode(values)]) { bytes in
    guard let values = try? AMF0.decode(Slice(bytes)) else { return }
    // What was read once is written so that it reads the same. References may have repeated values, so the limits of the
    // second reading are wider; NaN equals nothing, itself neither, so bytes are compared.
    let written = AMF0.encode(values)
    var limits = AMFLimits()
    (limits.depth, limits.elements, limits.totalBytes) = (64, 1 << 20, 1 << 26)
    guard let again = try? AMF0.decode(Slice(written), limits: limits) else { preconditionFailure("AMF0 that cannot be read back") }
    require(AMF0.encode(again) == written, "AMF0 that reads differently")
  }

  private static let amf3 = FuzzEntry("amf3", seeds: [AMF3.encode(values), AMF3.encode([.bytes([1, 2]), .dictionary(["k"], [5])])]) {
    bytes in
    guard let values = try? AMF3.decode(Slice(bytes)) else { return }
    let written = AMF3.encode(values)
    var limits = AMFLimits()
    (limits.depth, limits.elements, limits.totalBytes) = (64, 1 << 20, 1 << 26)
    guard let again = try? AMF3.decode(Slice(written), limits: limits) else { preconditionFailure("AMF3 that cannot be read back") }
    require(AMF3.encode(again) == written, "AMF3 that reads differently")
    _ = AMF0.encode(values)
  }

  private static var chunkSeed: [UInt8] {
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    writer.setChunkSize(200, into: &bytes)
    for index in 0..<4 as Range<UInt32> {
      writer.write(
        RTMPMessage(
          type: index % 2 == 0 ? .video : .audio, streamID: 1, timestamp: index == 3 ? 0xFF_FFFF : index * 40, chunkStreamID: 6 - index % 2,
          payload: Slice([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 150))), into: &bytes)
    }
    return bytes
  }

  private static let chunks = FuzzEntry("chunks", seeds: [chunkSeed]) { bytes in
    var limits = ChunkLimits()
    (limits.messageBytes, limits.unfinishedBytes, limits.chunkStreams) = (4096, 8192, 8)
    var reader = ChunkReader(limits: limits)
    var whole: [RTMPMessage] = []
    let succeeds = (try? reader.receive(bytes.span.bytes, into: &whole)) != nil
    require(reader.unfinishedBytes <= limits.unfinishedBytes, "more held than the limit")
    require(whole.allSatisfy { $0.payload.count <= limits.messageBytes }, "a message beyond the limit")
    var second = ChunkReader(limits: limits)
    var parts: [RTMPMessage] = []
    var succeedsInParts = true
    for piece in pieces(bytes) where succeedsInParts {
      succeedsInParts = (try? second.receive(piece.span.bytes, into: &parts)) != nil
    }
    require(parts == whole && succeeds == succeedsInParts, "messages that depend on how the bytes were cut")
    guard succeeds else { return }
    var writer = ChunkWriter()
    var written: [UInt8] = []
    for message in whole where ![.setChunkSize, .abort].contains(message.type) { writer.write(message, into: &written) }
    var third = ChunkReader()
    var again: [RTMPMessage] = []
    require((try? third.receive(written.span.bytes, into: &again)) != nil, "chunks that cannot be read back")
    require(again == whole.filter { ![.setChunkSize, .abort].contains($0.type) }, "messages that read differently")
  }

  /// What a publisher sends after the handshake.
  private static var publisherSeed: [UInt8] {
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    let commands = [
      Command("connect", transaction: 1, object: .object([AMFProperty("app", "live"), AMFProperty("tcUrl", "rtmp://h/live")])).message(),
      Command("createStream", transaction: 2).message(), Command("publish", transaction: 3, ["cam?token=x", "live"]).message(streamID: 1),
      RTMPMessage(
        type: .data, streamID: 1, timestamp: 0, chunkStreamID: 5,
        payload: Slice(AMF0.encode(["@setDataFrame", "onMetaData", .ecmaArray([])]))),
      RTMPMessage(type: .video, streamID: 1, timestamp: 0, chunkStreamID: 6, payload: [0x17, 0, 0, 0, 0, 1]),
      Command("deleteStream", [1]).message(),
    ]
    for command in commands { writer.write(command, into: &bytes) }
    return bytes
  }

  private static var playerSeed: [UInt8] {
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    let commands = [
      Command("connect", transaction: 1, object: .object([AMFProperty("app", "live")])).message(),
      Command("createStream", transaction: 2).message(), Command("play", ["cam", -2]).message(streamID: 1),
      UserControl.setBufferLength(1, milliseconds: 500).message, Command("receiveAudio", [false]).message(streamID: 1),
      Command("pause", [true, 5]).message(streamID: 1), Command("seek", [100]).message(streamID: 1),
    ]
    for command in commands { writer.write(command, into: &bytes) }
    return bytes
  }

  private static let serverSession = FuzzEntry("rtmp-server", seeds: [publisherSeed, playerSeed]) { bytes in
    var random = FixedRandom()
    var session = ServerSession(now: .zero, random: &random)
    // The simple handshake is the same for every input; what counts comes behind it.
    let hello = [3] + [UInt8](repeating: 0, count: 3072)
    guard (try? session.receive(hello.span.bytes, now: .zero)) != nil else { return }
    var now = Instant.zero
    for piece in pieces(bytes) {
      now = now + .milliseconds(10)
      let succeeds = (try? session.receive(piece.span.bytes, now: now)) != nil
      require(succeeds != session.isClosed || succeeds, "a session that failed and is not closed")
      answer(&session)
      _ = session.takeOutput()
      if !succeeds { break }
    }
    require(session.unfinishedBytes <= ChunkLimits().unfinishedBytes, "more held than the limit")
    session.ping(now: now)
    try? session.timeout(now: now + .seconds(60))
  }

  /// Decides by the stream's number: accept, refuse, or leave it waiting.
  private static func answer(_ session: inout ServerSession) {
    while let event = session.pollEvent() {
      switch event {
      case .connect: try? session.acceptConnect()
      case .publish(let request):
        switch request.streamID % 3 {
        case 1: session.acceptPublish(request.streamID)
        case 2: session.rejectPublish(request.streamID, description: "no")
        default: break
        }
      case .play(let request):
        switch request.streamID % 3 {
        case 1: session.acceptPlay(request.streamID, reset: request.reset)
        case 2: session.rejectPlay(request.streamID, description: "no")
        default: break
        }
      case .pause(let id, let paused, _): session.pauseNotify(id, paused: paused)
      case .media, .seek, .receiveAudio, .receiveVideo, .closeStream, .acknowledged, .bufferLength: break
      }
    }
  }

  /// What a server answers to a player, then media.
  private static var serverSeed: [UInt8] {
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    let answers = [
      Command("_result", transaction: 1, object: .null, [Command.information(level: "status", code: "NetConnection.Connect.Success", "")])
        .message(),
      Command("_result", transaction: 4, object: .null, [1]).message(),
      UserControl.streamBegin(1).message,
      Command("onStatus", [Command.information(level: "status", code: "NetStream.Play.Start", "")]).message(streamID: 1),
      RTMPMessage(type: .audio, streamID: 1, timestamp: 0, chunkStreamID: 4, payload: [0xaf, 0, 0x12, 0x10]),
      Command("onStatus", [Command.information(level: "status", code: "NetStream.Play.Stop", "")]).message(streamID: 1),
    ]
    for answer in answers { writer.write(answer, into: &bytes) }
    return bytes
  }

  private static let clientSession = FuzzEntry("rtmp-client", seeds: [[0] + serverSeed, [1] + serverSeed]) { bytes in
    guard let first = bytes.first else { return }
    var random = FixedRandom()
    var configuration = ClientSessionConfiguration(
      app: "live", tcURL: "rtmp://h/live", streamName: "cam", purpose: first & 1 == 0 ? .play() : .publish())
    configuration.handshake = .simple
    var session = ClientSession(configuration, now: .zero, random: &random)
    let hello = session.takeOutput()
    // S0, S1 and an S2 that repeats C1.
    let answer = [3] + [UInt8](repeating: 0, count: 1536) + hello.dropFirst()
    guard (try? session.receive(answer.span.bytes, now: .zero)) != nil else { return }
    for piece in pieces(Array(bytes.dropFirst())) {
      let succeeds = (try? session.receive(piece.span.bytes, now: .zero)) != nil
      while let event = session.pollEvent() {
        if case .publishing = event { session.sendMedia(.video, timestamp: 0, [0x17, 0, 0, 0, 0]) }
        if case .playing = event { session.pause(true) }
      }
      _ = session.takeOutput()
      if !succeeds || session.isClosed { break }
    }
    session.finish()
  }
}

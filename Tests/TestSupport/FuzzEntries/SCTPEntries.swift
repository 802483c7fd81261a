import MartletPrimitives
import MartletSCTP

/// Chunks of SCTP, the messages that open data channels, and what a session makes of packets of a peer that went through the
/// handshake.
extension FuzzEntry {
  static let sctp = [sctpChunk, sctpChannelControl, sctpSession]

  private static let sctpChunk = FuzzEntry(
    "sctp-chunk",
    seeds: [
      [1, 0, 0, 0, 9, 0, 16, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, 192, 0, 0, 4, 128, 8, 0, 7, 130, 192, 64, 0, 128, 1, 0, 8, 0, 0, 0, 1],
      [2, 0, 0, 0, 9, 0, 16, 0, 0, 255, 255, 255, 255, 0, 0, 0, 1, 0, 7, 0, 6, 1, 2, 0, 0],
      [3, 0, 0, 0, 1, 0, 16, 0, 0, 0, 1, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0], [6, 0, 13, 0, 6, 104, 105, 0, 0], [192, 0, 0, 0, 5, 0, 1, 0, 2],
      [194, 0, 0, 0, 5, 0, 1, 0, 1, 0, 0, 0, 2], [130, 0, 13, 0, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 4],
      [0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 51, 104, 105], [64, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 51, 104, 105],
    ]
  ) { bytes in
    guard let type = bytes.first else { return }
    let body = Array(bytes.dropFirst())
    switch type {
    case ChunkType.initiation, ChunkType.initiationAck:
      guard let chunk = initiation(body), let again = initiation(Array(written { chunk.write(into: &$0, isAck: true) })) else { return }
      require(again.parameters.extensions == chunk.parameters.extensions && again.tag == chunk.tag, "an INIT that reads differently")
    case ChunkType.selectiveAck:
      guard let chunk = try? SelectiveAck(parsing: body.span.bytes) else { return }
      let bytes = Array(written { chunk.write(into: &$0) })
      require((try? SelectiveAck(parsing: bytes.span.bytes)) == chunk, "a SACK that reads differently")
    case ChunkType.forwardTSN, ChunkType.interleavedForwardTSN:
      let isInterleaved = type == ChunkType.interleavedForwardTSN
      guard let chunk = try? ForwardTSN(parsing: body.span.bytes, isInterleaved: isInterleaved) else { return }
      let bytes = Array(written { chunk.write(into: &$0) })
      require((try? ForwardTSN(parsing: bytes.span.bytes, isInterleaved: isInterleaved)) == chunk, "a FORWARD TSN that reads differently")
    case ChunkType.reconfiguration:
      guard let chunk = try? ReconfigurationChunk(parsing: body.span.bytes) else { return }
      let bytes = Array(written { chunk.write(into: &$0) })
      require((try? ReconfigurationChunk(parsing: bytes.span.bytes)) == chunk, "a RE-CONFIG that reads differently")
    default:
      let causes = (try? ErrorCause.parse(body.span.bytes)) ?? []
      require(causes.count <= 8 && causes.allSatisfy { $0.info.count <= 256 }, "more causes than are kept")
    }
  }

  private static func initiation(_ body: [UInt8]) -> InitChunk? { try? InitChunk(parsing: body.span.bytes, limits: SCTPLimits()) }

  /// The body of the chunk that `write` makes.
  private static func written(_ write: (inout ByteWriter) -> Void) -> ArraySlice<UInt8> {
    var writer = ByteWriter()
    write(&writer)
    var reader = ByteReader(writer.bytes.span.bytes)
    guard let header = try? ChunkHeader(parsing: &reader), header.bodyBytes <= reader.remaining else { return [] }
    return writer.bytes[4..<4 + header.bodyBytes]
  }

  private static let sctpChannelControl = FuzzEntry(
    "sctp-channel-control", seeds: [[3, 0x81, 1, 0, 0, 0, 0, 3, 0, 1, 0, 2, 97, 98, 99], [2]]
  ) { bytes in
    guard let message = try? ChannelControl(parsing: bytes.span.bytes) else { return }
    let again = message.bytes
    require((try? ChannelControl(parsing: again.span.bytes)) == message, "a message that reads differently")
  }

  /// The first byte chooses extensions; each piece of the rest is the chunks of a packet, or time that passes.
  private static let sctpSession = FuzzEntry(
    "sctp-session",
    seeds: [
      [15, 0, 0, 3, 0, 21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 51, 104, 105], [0, 9, 130, 0, 0, 16, 0, 16, 0, 12, 0, 0, 0, 1, 0, 0, 0, 6],
    ]
  ) { bytes in
    guard let first = bytes.first else { return }
    var configuration = SCTPConfiguration()
    configuration.receiveBuffer = 16384
    configuration.extensions = SCTPExtensions(rawValue: first & 15 | SCTPExtensions.zeroChecksum.rawValue)
    var client = DataChannelSession(configuration, isClient: true, random: RandomSource(seed: 1))
    var server = DataChannelSession(configuration, isClient: false, random: RandomSource(seed: 2))
    var (now, head, batch) = (Instant.zero, [UInt8](), DatagramBatch())
    _ = try? client.open(DataChannelOptions(label: "fuzz"), now: now)
    client.start(now: now)
    for _ in 0..<4 {
      batch.removeAll()
      client.takeOutput(into: &batch, now: now)
      for index in 0..<batch.count {
        head = Array(Array(copying: batch[index]).prefix(8)) + [0, 0, 0, 0]
        server.receive(batch[index], now: now)
      }
      while server.pollEvent(now: now) != nil {}
      batch.removeAll()
      server.takeOutput(into: &batch, now: now)
      for index in 0..<batch.count { client.receive(batch[index], now: now) }
      while client.pollEvent(now: now) != nil {}
    }
    let isEstablished = server.association.isEstablished && server.channelCount == 1
    require(isEstablished, "two ends that do not connect")
    for piece in pieces(Array(bytes.dropFirst())) {
      let packet = head + piece
      server.receive(packet.span.bytes, now: now)
      if let channel = piece.first { _ = try? server.send(.binary, Slice(Array(piece)), on: UInt16(channel & 3), now: now) }
      while server.pollEvent(now: now) != nil {}
      for _ in 0..<100 {
        batch.removeAll()
        server.takeOutput(into: &batch, now: now)
        if batch.isEmpty { break }
        for index in 0..<batch.count { require(batch[index].byteCount <= configuration.packetBytes, "a packet that is too long") }
      }
      require(batch.isEmpty, "output without end")
      let held = server.statistics.bytesHeld
      require(held <= 2 * configuration.receiveBuffer + 2048, "more is held than allowed")
      if let deadline = server.deadline {
        now = max(now, deadline)
        server.timeout(now: now)
      }
    }
  }
}

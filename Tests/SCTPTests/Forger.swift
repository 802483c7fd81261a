import MartletPrimitives
import MartletSCTP

/// A peer that says whatever a test wants to one association.
final class Forger {
  var target: SCTPAssociation
  var now = Instant.zero
  let ownTag: UInt32 = 0xFEED
  let initialTSN: UInt32 = 1000
  private(set) var targetTag: UInt32 = 0
  private(set) var targetTSN: UInt32 = 0
  private(set) var cookie: [UInt8] = []
  private let extensions: SCTPExtensions

  init(_ configuration: SCTPConfiguration = .init(), extensions: SCTPExtensions = [.partialReliability, .reconfiguration]) {
    target = SCTPAssociation(configuration, random: RandomSource(seed: 5))
    self.extensions = extensions
  }

  /// Behind the handshake.
  static func connected(
    _ configuration: SCTPConfiguration = .init(), extensions: SCTPExtensions = [.partialReliability, .reconfiguration]
  ) throws -> Forger {
    let forger = Forger(configuration, extensions: extensions)
    try forger.greet()
    forger.echoCookie()
    forger.drain()
    while forger.target.pollEvent(now: forger.now) != nil {}
    return forger
  }

  var state: SCTPState { target.state }
  var statistics: SCTPStatistics { target.statistics }

  /// INIT, and what INIT ACK answers.
  func greet(window: UInt32 = 1 << 20) throws {
    sendInit(window: window)
    for packet in drain() {
      var reader = ByteReader(packet.span.bytes)
      _ = try PacketHeader(parsing: &reader)
      let chunk = try ChunkHeader(parsing: &reader)
      guard chunk.type == ChunkType.initiationAck else { continue }
      let answer = try InitChunk(parsing: try reader.bytes(chunk.bodyBytes), limits: SCTPLimits())
      (targetTag, targetTSN, cookie) = (answer.tag, answer.initialTSN, answer.parameters.cookie)
    }
  }

  func sendInit(window: UInt32 = 1 << 20, tag: UInt32? = nil) {
    var writer = ByteWriter()
    InitChunk(
      tag: tag ?? ownTag, window: window, outgoingStreams: 1000, incomingStreams: 1000, initialTSN: initialTSN,
      parameters: InitParameters(extensions: extensions)
    ).write(into: &writer, isAck: false)
    send(writer.bytes, tag: 0)
  }

  func echoCookie() { send(Self.chunk(ChunkType.cookieEcho, cookie)) }

  static func chunk(_ type: UInt8, flags: UInt8 = 0, _ body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.u8(type)
    writer.u8(flags)
    writer.u16(UInt16(body.count + 4))
    writer.append(body)
    writer.zeros(-body.count & 3)
    return writer.bytes
  }

  func send(_ chunks: [UInt8], tag: UInt32? = nil, checksum: UInt32? = nil, source: UInt16 = 5000) {
    var header = PacketHeader(source: source, destination: 5000, tag: tag ?? targetTag)
    func packet() -> [UInt8] {
      var writer = ByteWriter()
      header.write(into: &writer)
      return writer.bytes + chunks
    }
    header.checksum = checksum ?? CRC32c.checksum(ofPacket: packet().span.bytes)
    target.receive(packet().span.bytes, now: now)
  }

  /// - Parameter tsn: counted from the first one.
  func data(
    _ tsn: Int, _ payload: [UInt8] = [1], stream: UInt16 = 0, number: UInt32 = 0, fragment: UInt32 = 0,
    flags: DataChunk.Flags = [.begin, .end], isInterleaved: Bool = false
  ) -> [UInt8] {
    var writer = ByteWriter()
    DataChunk(
      flags: flags, isInterleaved: isInterleaved, tsn: initialTSN &+ UInt32(truncatingIfNeeded: tsn), stream: stream, messageNumber: number,
      fragmentNumber: fragment, protocolID: 53
    ).write(into: &writer, payload: payload.span.bytes)
    return writer.bytes
  }

  func sack(_ tsn: UInt32, window: UInt32 = 1 << 20, gaps: [SelectiveAck.GapBlock] = []) {
    var writer = ByteWriter()
    SelectiveAck(cumulativeTSN: tsn, window: window, gaps: gaps).write(into: &writer)
    send(writer.bytes)
  }

  func forward(_ tsn: Int, _ skipped: [ForwardTSN.Skipped] = []) {
    var writer = ByteWriter()
    ForwardTSN(isInterleaved: false, cumulativeTSN: initialTSN &+ UInt32(truncatingIfNeeded: tsn), skipped: skipped).write(into: &writer)
    send(writer.bytes)
  }

  func reset(_ parameters: [ResetParameter]) {
    var writer = ByteWriter()
    ReconfigurationChunk(parameters).write(into: &writer)
    send(writer.bytes)
  }

  /// What the target sends.
  @discardableResult func drain() -> [[UInt8]] {
    var packets: [[UInt8]] = []
    var batch = DatagramBatch()
    repeat {
      batch.removeAll()
      target.takeOutput(into: &batch, now: now)
      for index in 0..<batch.count { packets.append(Array(copying: batch[index])) }
    } while !batch.isEmpty
    return packets
  }

  /// The chunks that the target sends: type, flags and body.
  func drainChunks() throws -> [(type: UInt8, flags: UInt8, body: [UInt8])] {
    var chunks: [(type: UInt8, flags: UInt8, body: [UInt8])] = []
    for packet in drain() {
      var reader = ByteReader(packet.span.bytes)
      _ = try PacketHeader(parsing: &reader)
      while !reader.isAtEnd {
        let header = try ChunkHeader(parsing: &reader)
        chunks.append((header.type, header.flags, Array(copying: try reader.bytes(header.bodyBytes))))
        try reader.skip(min(header.padding, reader.remaining))
      }
    }
    return chunks
  }

  func lastSack() throws -> SelectiveAck? {
    guard let body = try drainChunks().last(where: { $0.type == ChunkType.selectiveAck })?.body else { return nil }
    return try SelectiveAck(parsing: body.span.bytes)
  }

  func responses() throws -> [ResetParameter] {
    try drainChunks().filter { $0.type == ChunkType.reconfiguration }.flatMap {
      try ReconfigurationChunk(parsing: $0.body.span.bytes).parameters
    }
  }

  func events() -> [SCTPEvent] {
    var events: [SCTPEvent] = []
    while let event = target.pollEvent(now: now) { events.append(event) }
    return events
  }
}

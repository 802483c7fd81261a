import MartletPrimitives
import MartletSCTP
import Testing

/// RFC 9260 §3.
@Suite struct ChunkTests {
  /// Header and body of the chunk that `write` makes, whole, padded and alone.
  private func chunk(_ write: (inout ByteWriter) -> Void) throws -> (header: ChunkHeader, body: [UInt8]) {
    var writer = ByteWriter()
    write(&writer)
    #expect(writer.count % 4 == 0)
    var reader = ByteReader(writer.bytes.span.bytes)
    let header = try ChunkHeader(parsing: &reader)
    let body = Array(copying: try reader.bytes(header.bodyBytes))
    #expect(reader.remaining == header.padding)
    return (header, body)
  }

  /// Every proper prefix throws or reads as something shorter, and none traps.
  private func cut(_ body: [UInt8], _ parse: (RawSpan) throws -> Void) {
    for count in body.indices {
      let prefix = Array(body[..<count])
      _ = try? parse(prefix.span.bytes)
    }
  }

  private func initiation(_ body: [UInt8]) throws -> InitChunk { try InitChunk(parsing: body.span.bytes, limits: SCTPLimits()) }
  private func sack(_ body: [UInt8]) throws -> SelectiveAck { try SelectiveAck(parsing: body.span.bytes) }
  private func control(_ message: [UInt8]) throws -> ChannelControl { try ChannelControl(parsing: message.span.bytes) }
  private func reconfiguration(_ body: [UInt8]) throws -> ReconfigurationChunk { try ReconfigurationChunk(parsing: body.span.bytes) }
  private func causes(_ body: [UInt8], _ maximum: Int = 8) throws -> [ErrorCause] {
    try ErrorCause.parse(body.span.bytes, maximum: maximum)
  }

  // RFC 9260 §3.3.2, RFC 3758 §3.1, RFC 6525 §5.1, RFC 8260 §2.2.1, RFC 9653 §4.
  @Test func `INIT and INIT ACK come back the same`() throws {
    let limits = SCTPLimits()
    let unknown: [UInt8] = [0xC1, 0x23, 0, 8, 1, 2, 3, 4]
    for extensions in [[], .partialReliability, .interleaving, [.reconfiguration, .zeroChecksum]] as [SCTPExtensions] {
      let written = InitChunk(
        tag: 7, window: 1 << 20, outgoingStreams: 65535, incomingStreams: 1024, initialTSN: .max,
        parameters: InitParameters(extensions: extensions, cookie: [1, 2, 3, 4, 5]))
      let (header, body) = try chunk { written.write(into: &$0, isAck: true) }
      #expect(header.type == ChunkType.initiationAck)
      #expect(try initiation(body) == written)
      // RFC 9260 §3.2.2: what is unknown and wants to be reported is kept for the answer.
      #expect(try initiation(body + [UInt8](repeating: 0, count: -body.count & 3) + unknown).parameters.unrecognized == unknown)
      cut(body) { _ = try InitChunk(parsing: $0, limits: limits) }
    }
  }

  @Test func `an INIT that cannot be is an error`() throws {
    var body: [UInt8] = [0, 0, 0, 0, 0, 0, 16, 0, 0, 1, 0, 1, 0, 0, 0, 1]
    #expect(throws: ParseError.invalid("an initiate tag of zero", at: 0)) { try initiation(body) }
    body[3] = 1
    #expect(try initiation(body).tag == 1)
    body[9] = 0
    #expect(throws: ParseError.invalid("no streams", at: 8)) { try initiation(body) }
    body[9] = 1
    let many = (0..<33).flatMap { _ in [0xC0, 0, 0, 4] as [UInt8] }
    #expect(throws: ParseError.limit("parameters of a chunk", maximum: 32)) {
      try initiation(body + many)
    }
    let cookie: [UInt8] = [0, 7, 4, 0] + [UInt8](repeating: 0, count: 1020)
    #expect(throws: ParseError.limit("bytes of a state cookie", maximum: 1000)) {
      try initiation(body + cookie)
    }
  }

  // RFC 9260 §3.3.1, RFC 8260 §2.1.
  @Test(arguments: [true, false]) func `DATA and I-DATA come back the same`(isInterleaved: Bool) throws {
    for flags in [[.begin, .end], .begin, [.unordered, .end], .immediate] as [DataChunk.Flags] {
      let begins = flags.contains(.begin)
      let data = DataChunk(
        flags: flags, isInterleaved: isInterleaved, tsn: .max, stream: 65535, messageNumber: isInterleaved ? 0x1234_5678 : 0x5678,
        fragmentNumber: isInterleaved && !begins ? 9 : 0, protocolID: isInterleaved && !begins ? 0 : 53)
      let (header, body) = try chunk { data.write(into: &$0, payload: ([1, 2, 3] as [UInt8]).span.bytes) }
      var reader = ByteReader(body.span.bytes)
      #expect(try DataChunk(parsing: &reader, header) == data)
      #expect(Array(copying: reader.rest()) == [1, 2, 3])
      cut(body) {
        var reader = ByteReader($0)
        _ = try DataChunk(parsing: &reader, header)
      }
    }
  }

  // RFC 9260 §3.3.4.
  @Test func `SACK comes back the same`() throws {
    let written = SelectiveAck(cumulativeTSN: 5, window: 9, gaps: [.init(2, 3), .init(5, 65535)], duplicates: [1, .max])
    let (header, body) = try chunk { written.write(into: &$0) }
    #expect(header.type == ChunkType.selectiveAck)
    #expect(try sack(body) == written)
    for count in body.indices { #expect(throws: ParseError.self) { try sack(Array(body[..<count])) } }
  }

  // RFC 3758 §3.2, RFC 8260 §2.3.1.
  @Test(arguments: [true, false]) func `FORWARD TSN and I-FORWARD-TSN come back the same`(isInterleaved: Bool) throws {
    let forward = ForwardTSN(
      isInterleaved: isInterleaved, cumulativeTSN: 77,
      skipped: [.init(stream: 1, messageNumber: 65535), .init(stream: 65535, isUnordered: isInterleaved, messageNumber: 4)])
    let (header, body) = try chunk { forward.write(into: &$0) }
    #expect(header.type == (isInterleaved ? ChunkType.interleavedForwardTSN : ChunkType.forwardTSN))
    #expect(try ForwardTSN(parsing: body.span.bytes, isInterleaved: isInterleaved) == forward)
    cut(body) { _ = try ForwardTSN(parsing: $0, isInterleaved: isInterleaved) }
  }

  // RFC 6525 §3.1, §4.
  @Test func `RE-CONFIG comes back the same, with at most two parameters`() throws {
    let outgoing = ResetParameter.outgoing(request: 1, response: 2, lastTSN: 3, streams: [4, 5, 6])
    let response = ResetParameter.response(to: 9, result: ResetParameter.Result.inProgress)
    let chunks = [[outgoing], [response, outgoing], [.other(request: 8)], [.outgoing(request: 1, response: 2, lastTSN: 3, streams: [])]]
    for parameters in chunks {
      let (_, body) = try chunk { ReconfigurationChunk(parameters).write(into: &$0) }
      #expect(try reconfiguration(body).parameters == parameters)
      cut(body) { _ = try ReconfigurationChunk(parsing: $0) }
    }
    let (_, body) = try chunk { ReconfigurationChunk([response, response, response]).write(into: &$0) }
    #expect(throws: ParseError.self) { try reconfiguration(body) }
  }

  // RFC 9260 §3.3.10.
  @Test func `error causes come back the same, a few of them`() throws {
    let written = [ErrorCause(ErrorCause.Code.protocolViolation, text: "why"), ErrorCause(ErrorCause.Code.noUserData, info: [1, 2, 3, 4])]
    let bytes = Array(ErrorCause.chunk(ChunkType.abort, written)[4...])
    #expect(try causes(bytes) == written)
    #expect(try causes(bytes, 1) == [written[0]])
    cut(bytes) { _ = try ErrorCause.parse($0) }
  }

  // RFC 8832 §5.1.
  @Test func `OPEN and ACK come back the same`() throws {
    var options = DataChannelOptions(label: "größe", protocolName: "chat")
    options.priority = 1024
    let kinds: [(UInt16?, Int?, Bool)] = [(nil, nil, true), (3, nil, false), (nil, 1500, true), (0, nil, true)]
    for (retransmissions, lifetime, isOrdered) in kinds {
      options.maximumRetransmissions = retransmissions
      options.lifetime = lifetime.map { .milliseconds($0) }
      options.isOrdered = isOrdered
      let bytes = ChannelControl.open(options).bytes
      #expect(try control(bytes) == .open(options))
      for count in bytes.indices { #expect(throws: ParseError.self) { try control(Array(bytes[..<count])) } }
    }
    #expect(try control(ChannelControl.ack.bytes) == .ack)
    #expect(ChannelControl.open(DataChannelOptions(label: "a")).bytes == [3, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 97])
  }

  @Test func `an OPEN beyond a limit, or with bytes that are no text, is an error`() {
    let long = ChannelControl.open(DataChannelOptions(label: String(repeating: "x", count: 1025))).bytes
    #expect(throws: ParseError.limit("bytes of a label", maximum: 1024)) { try control(long) }
    let broken: [UInt8] = [3, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xFF]
    #expect(throws: ParseError.invalid("text that is not UTF-8", at: 12)) { try control(broken) }
    let unknown: [UInt8] = [3, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    #expect(throws: ParseError.self) { try control(unknown) }
  }
}

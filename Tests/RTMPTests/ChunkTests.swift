import MartletPrimitives
import MartletRTMP
import TestSupport
import Testing

/// Feeds `bytes` in pieces of at most `step` bytes, or of random sizes.
func read(
  _ bytes: [UInt8], step: Int = .max, limits: ChunkLimits = ChunkLimits(), random: SeededRandom? = nil
) throws(RTMPError) -> [RTMPMessage] {
  var reader = ChunkReader(limits: limits)
  var messages: [RTMPMessage] = []
  var random = random
  var offset = 0
  while offset < bytes.count {
    var size = step
    if random != nil { size = Int.random(in: 1...300, using: &random!) }
    let end = offset + min(size, bytes.count - offset)
    try reader.receive(bytes.span.bytes.extracting(offset..<end), into: &messages)
    offset = end
  }
  return messages
}

func message(
  _ type: MessageType = .video, stream: UInt32 = 1, at timestamp: UInt32, on chunkStream: UInt32 = 6, _ payload: [UInt8]
) -> RTMPMessage {
  RTMPMessage(type: type, streamID: stream, timestamp: timestamp, chunkStreamID: chunkStream, payload: Slice(payload))
}

/// RTMP 1.0 §5.3.
@Suite struct ChunkReaderTests {
  // §5.3.2.1, example 1: four audio messages.
  @Test(arguments: [1, 2, 3, 7, 10_000]) func `the specification's first example`(step: Int) throws {
    let body = (0..<32).map { UInt8($0) }
    let bytes: [UInt8] =
      [0x03, 0, 0x03, 0xE8, 0, 0, 32, 8, 0x39, 0x30, 0, 0] + body  // 1000, stream 12345
      + [0x83, 0, 0, 20] + body  // type 2, delta 20
      + [0xC3] + body + [0xC3] + body  // type 3: the same delta again
    let messages = try read(bytes, step: step)
    #expect(messages.map(\.timestamp) == [1000, 1020, 1040, 1060])
    #expect(messages.allSatisfy { $0.type == .audio && $0.streamID == 12345 && $0.chunkStreamID == 3 && $0.payload == Slice(body) })
  }

  // §5.3.2.2, example 2: one message of 307 bytes in three chunks.
  @Test(arguments: [1, 5, 128, 10_000]) func `the specification's second example`(step: Int) throws {
    let body = (0..<307).map { UInt8(truncatingIfNeeded: $0) }
    var bytes: [UInt8] = [0x04, 0, 0x03, 0xE8, 0, 0x01, 0x33, 9, 0x3A, 0x30, 0, 0] + body[..<128]
    bytes += [0xC4] + body[128..<256]
    bytes += [0xC4] + body[256...]
    #expect(try read(bytes, step: step) == [message(stream: 12346, at: 1000, on: 4, body)])
  }

  @Test(arguments: [1, 4, 10_000]) func `type 3 after type 0 adds that timestamp again`(step: Int) throws {
    let bytes: [UInt8] = [0x03, 0, 0, 23, 0, 0, 1, 8, 1, 0, 0, 0, 0xAA, 0xC3, 0xBB]
    #expect(try read(bytes, step: step).map(\.timestamp) == [23, 46])
  }

  // §5.3.1.3.
  @Test(arguments: [(true, 1), (true, 9), (true, 10_000), (false, 1), (false, 9), (false, 10_000)])
  func `extended timestamps on type 3 chunks are taken when repeated, and payload when not`(repeats: Bool, step: Int) throws {
    let stamp: [UInt8] = [0x01, 0x02, 0x03, 0x04]
    let body = (0..<300).map { UInt8(truncatingIfNeeded: $0 &+ 90) }
    let again = repeats ? stamp : []
    let head: [UInt8] = [0x06, 0xFF, 0xFF, 0xFF, 0, 0x01, 0x2C, 9, 1, 0, 0, 0] + stamp
    let next: [UInt8] = [0xC6] + again
    var one = head + body[..<128]
    one += next + body[128..<256]
    one += next + body[256...]
    let messages = try read(one + one, step: step)
    #expect(messages == [message(at: 0x0102_0304, body), message(at: 0x0102_0304, body)])
  }

  @Test(arguments: [1, 2, 10_000]) func `payload that begins like the extended timestamp is still read when the chunk is short`(step: Int)
    throws
  {
    // Nothing is repeated; the last chunk holds two bytes that equal the first two of the timestamp.
    let body = [UInt8](repeating: 7, count: 128) + [0x01, 0x02]
    let one: [UInt8] = [0x06, 0xFF, 0xFF, 0xFF, 0, 0, 130, 9, 1, 0, 0, 0, 1, 2, 3, 4] + body[..<128] + [0xC6] + body[128...]
    let bytes = one + [0x03, 0, 0, 0, 0, 0, 1, 8, 1, 0, 0, 0, 0xAA]
    let messages = try read(bytes, step: step)
    #expect(messages.count == 2 && messages.first?.payload == Slice(body) && messages.last?.type == .audio)
  }

  @Test func `an extended delta wraps the clock`() throws {
    let bytes: [UInt8] =
      [0x03, 0xFF, 0xFF, 0xFF, 0, 0, 1, 8, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xF0, 0xAA]  // 2^32 - 16
      + [0x83, 0, 0, 0x20, 0xBB]  // + 32
      + [0x83, 0xFF, 0xFF, 0xFF, 0x01, 0, 0, 0, 0xCC]  // + 2^24
    #expect(try read(bytes).map(\.timestamp) == [0xFFFF_FFF0, 0x10, 0x0100_0010])
  }

  // §5.3.1.1: one, two and three bytes.
  @Test(arguments: [2, 63, 64, 319, 320, 65_599] as [UInt32]) func `basic headers of every size`(id: UInt32) throws {
    let image = ChunkWriter.wireImage(
      type: .audio, chunkStreamID: id, streamID: 1, timestamp: 5, payloadParts: [Slice([UInt8](repeating: 1, count: 200))], chunkSize: 128)
    let basic = id < 64 ? 1 : id < 320 ? 2 : 3
    #expect(image.count == 200 + 11 + 2 * basic)
    #expect(try read(image.array, step: 1).map(\.chunkStreamID) == [id])
  }

  @Test func `a message without a body is a message`() throws {
    #expect(try read([0x06, 0, 0, 5, 0, 0, 0, 9, 1, 0, 0, 0]) == [message(at: 5, [])])
  }

  // §5.4.2.
  @Test func `abort drops the message of that chunk stream only`() throws {
    let body = [UInt8](repeating: 1, count: 200)
    var bytes: [UInt8] = [0x06, 0, 0, 5, 0, 0, 200, 9, 1, 0, 0, 0] + body[..<128]
    bytes += [0x04, 0, 0, 5, 0, 0, 200, 8, 1, 0, 0, 0] + body[..<128]
    bytes += [0x02, 0, 0, 0, 0, 0, 4, 2, 0, 0, 0, 0, 0, 0, 0, 6]
    bytes += [0xC4] + body[128...] + [0x06, 0, 0, 9, 0, 0, 1, 9, 1, 0, 0, 0, 0xEE]
    #expect(try read(bytes, step: 3) == [message(.audio, at: 5, on: 4, body), message(at: 9, [0xEE])])
  }

  // §5.4.1.
  @Test func `a new chunk size holds from the next chunk on`() throws {
    let body = [UInt8](repeating: 1, count: 1000)
    let bytes: [UInt8] =
      [0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0x03, 0xE8, 0x06, 0, 0, 5, 0, 0x03, 0xE8, 9, 1, 0, 0, 0] + body
    #expect(try read(bytes, step: 11) == [message(at: 5, body)])
  }
}

/// What the chunk layer refuses.
@Suite struct ChunkLimitTests {
  private func setChunkSize(_ size: UInt32) -> [UInt8] {
    var writer = ByteWriter()
    writer.append([0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0])
    writer.u32(size)
    return writer.bytes
  }

  @Test(arguments: [0, 0x7FFF_FFFF, 0x8000_0080, 0xFFFF_FFFF, 0x0100_0000] as [UInt32])
  func `chunk sizes that are refused`(size: UInt32) {
    #expect(throws: RTMPError.self) { try read(setChunkSize(size)) }
  }

  @Test(arguments: [1, 128, 65_536, 0xFF_FFFF] as [UInt32]) func `chunk sizes that are taken`(size: UInt32) throws {
    #expect(try read(setChunkSize(size)).isEmpty)
  }

  @Test func `a message that claims 16 MB is refused by its header`() {
    #expect(throws: RTMPError.limit("bytes of a video message", value: 0xFF_FFFF, maximum: 8 << 20)) {
      try read([0x06, 0, 0, 5, 0xFF, 0xFF, 0xFF, 9, 1, 0, 0, 0])
    }
  }

  @Test func `unfinished messages are limited over all chunk streams`() {
    var limits = ChunkLimits()
    limits.messageBytes = 0xFF_FFFF
    // Each message is one chunk of 15 MiB and a rest that never comes.
    var bytes = setChunkSize(15 << 20)
    var reader = ChunkReader(limits: limits)
    var messages: [RTMPMessage] = []
    let part = [UInt8](repeating: 0, count: 15 << 20)
    do {
      for id in 3..<11 as Range<UInt8> {
        bytes += [id, 0, 0, 5, 0xFF, 0xFF, 0xFE, 9, 1, 0, 0, 0]
        try reader.receive(bytes.span.bytes, into: &messages)
        try reader.receive(part.span.bytes, into: &messages)
        bytes = []
        let held = reader.unfinishedBytes
        #expect(held <= 16 << 20)
      }
      Issue.record("120 MiB were held")
    } catch {
      #expect("\(error)".contains("exceeds the limit of 16777216"))
    }
  }

  @Test func `many small unfinished messages count as well`() {
    var limits = ChunkLimits()
    limits.unfinishedBytes = 1000
    var bytes: [UInt8] = []
    for id in 3..<20 as Range<UInt8> { bytes += [id, 0, 0, 5, 0x0F, 0, 0, 9, 1, 0, 0, 0] + [UInt8](repeating: 0, count: 128) }
    #expect(throws: RTMPError.limit("bytes of unfinished messages", value: 1024, maximum: 1000)) { try read(bytes, limits: limits) }
  }

  @Test func `the 65th of 60,000 chunk streams is refused`() {
    var bytes: [UInt8] = []
    for id in 0..<60_000 {
      bytes += [0x01, UInt8(truncatingIfNeeded: id), UInt8(truncatingIfNeeded: id >> 8), 0, 0, 5, 0, 0, 1, 8, 1, 0, 0, 0, 0xAA]
    }
    #expect(throws: RTMPError.limit("chunk streams on one connection", value: 65, maximum: 64)) { try read(bytes) }
  }

  @Test(arguments: [[0x86, 0, 0, 1], [0xC6, 1]] as [[UInt8]]) func `an abbreviated header needs an earlier one`(bytes: [UInt8]) {
    #expect(throws: RTMPError.self) { try read(bytes) }
  }

  @Test func `only type 3 goes on with a message`() {
    let bytes: [UInt8] = [0x06, 0, 0, 5, 0, 0, 200, 9, 1, 0, 0, 0] + [UInt8](repeating: 1, count: 128) + [0x46, 0, 0, 1, 0, 0, 1, 9]
    let error = RTMPError.malformedChunk("a type 1 header inside a message, after 128 of 200 bytes", chunkStreamID: 6)
    #expect(throws: error) { try read(bytes) }
  }

  @Test(arguments: 0..<20) func `garbage never traps`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    for _ in 0..<200 {
      let bytes = (0..<400).map { _ in
        UInt8.random(in: 0...3, using: &random) == 0 ? UInt8.random(in: 0...255, using: &random) : UInt8.random(in: 0...8, using: &random)
      }
      _ = try? read(bytes, random: random)
    }
  }
}

extension ChunkLimitTests {
  @Test(arguments: 0..<30) func `what is read does not depend on how it was cut, right or wrong`(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    func outcome(_ bytes: [UInt8], step: Int) -> (messages: [RTMPMessage], error: RTMPError?) {
      var reader = ChunkReader()
      var messages: [RTMPMessage] = []
      do {
        for start in stride(from: 0, to: bytes.count, by: step) {
          let end = min(bytes.count, start + step)
          try reader.receive(bytes.span.bytes.extracting(start..<end), into: &messages)
        }
        return (messages, nil)
      } catch { return (messages, error) }
    }
    for _ in 0..<40 {
      // Extended timestamps of equal bytes, short chunks and few chunk streams make the hard cases likely.
      var bytes: [UInt8] = [0x02, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, UInt8.random(in: 1...9, using: &random)]
      for _ in 0..<30 {
        let id = UInt8.random(in: 3...4, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes += [id, 255, 255, 255, 0, 0, UInt8.random(in: 0...30, using: &random), 9, 1, 0, 0, 0, 1, 1, 1, 1]
        case 1: bytes += [0xC0 | id, 1, 1, 1, 1]
        case 2: bytes += [0xC0 | id]
        default: bytes += [UInt8](repeating: 1, count: Int.random(in: 1...9, using: &random))
        }
      }
      let whole = outcome(bytes, step: .max / 2)
      for step in [1, 2, 3, 5, 13] {
        let cut = outcome(bytes, step: step)
        #expect(cut.messages == whole.messages && cut.error == whole.error)
      }
    }
  }

  @Test func `a message too long for its header is not written`() {
    let payload = Slice([UInt8](repeating: 0, count: ChunkWriter.longestMessage + 1))
    let image = ChunkWriter.wireImage(
      type: .video, chunkStreamID: 6, streamID: 1, timestamp: 0, payloadParts: [payload], chunkSize: 65_536)
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    writer.write(
      RTMPMessage(type: .video, streamID: 1, timestamp: 0, chunkStreamID: 6, payload: payload), into: &bytes)
    #expect(image.isEmpty && bytes.isEmpty)
  }
}

@Suite struct ChunkWriterTests {
  private func random(_ random: inout SeededRandom, count: Int) -> [RTMPMessage] {
    let types: [MessageType] = [.audio, .video, .data, .command]
    var clock: UInt32 = Bool.random(using: &random) ? 0 : 0xFFFF_F000
    return (0..<count).map { _ in
      clock = clock &+ UInt32.random(in: 0...40, using: &random)
      if Int.random(in: 0..<15, using: &random) == 0 { clock = clock &- UInt32.random(in: 0...5000, using: &random) }
      if Int.random(in: 0..<15, using: &random) == 0 { clock = clock &+ 0x0100_0000 }
      let size = [0, 1, 10, 10, 127, 128, 129, 1000, 5000].randomElement(using: &random) ?? 0
      let payload = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
      return message(
        types.randomElement(using: &random) ?? .audio, stream: UInt32.random(in: 1...2, using: &random), at: clock,
        on: [3, 4, 6, 64, 400].randomElement(using: &random) ?? 3, payload)
    }
  }

  @Test(arguments: 0..<50) func `the reader gets what the writer was given`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var writer = ChunkWriter()
    var bytes: [UInt8] = []
    let messages = self.random(&random, count: 60)
    for message in messages {
      if Int.random(in: 0..<20, using: &random) == 0 {
        writer.setChunkSize([1, 50, 128, 4096, 65_536].randomElement(using: &random) ?? 128, into: &bytes)
      }
      writer.write(message, into: &bytes)
    }
    #expect(try read(bytes, random: random) == messages)
    #expect(try read(bytes, step: 1) == messages)
  }

  @Test(arguments: 0..<30) func `chunks of several messages may be interleaved`(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    // Wire images are cut into their chunks, and the chunks of four chunk streams are mixed.
    let ids: [UInt32] = [3, 4, 70, 500]
    let queues: [[(RTMPMessage, [[UInt8]])]] = ids.map { id in
      self.random(&random, count: 15).map { message in
        var message = message
        message.chunkStreamID = id
        let image = ChunkWriter.wireImage(
          type: message.type, chunkStreamID: id, streamID: message.streamID, timestamp: message.timestamp,
          payloadParts: [message.payload], chunkSize: 128)
        return (message, chunks(of: image.array, id, message.timestamp >= 0xFF_FFFF))
      }
    }
    var bytes: [UInt8] = []
    var sent: [[RTMPMessage]] = Array(repeating: [], count: queues.count)
    var positions = queues.map { _ in (message: 0, chunk: 0) }
    while let queue = positions.indices.filter({ positions[$0].message < queues[$0].count }).randomElement(using: &random) {
      let (message, chunks) = queues[queue][positions[queue].message]
      bytes += chunks[positions[queue].chunk]
      positions[queue].chunk += 1
      if positions[queue].chunk == chunks.count {
        sent[queue].append(message)
        positions[queue] = (positions[queue].message + 1, 0)
      }
    }
    let received = try read(bytes, random: random)
    for (queue, id) in ids.enumerated() { #expect(received.filter { $0.chunkStreamID == id } == sent[queue]) }
  }

  private func chunks(of image: [UInt8], _ id: UInt32, _ extended: Bool) -> [[UInt8]] {
    let basic = id < 64 ? 1 : id < 320 ? 2 : 3
    var size = basic + 11 + (extended ? 4 : 0) + 128
    var rest = image[...]
    var chunks: [[UInt8]] = []
    repeat {
      chunks.append(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
      size = basic + (extended ? 4 : 0) + 128
    } while !rest.isEmpty
    return chunks
  }

  @Test func `headers are as short as they can be`() {
    var writer = ChunkWriter()
    func header(_ message: RTMPMessage) -> [UInt8] {
      var bytes: [UInt8] = []
      writer.write(message, into: &bytes)
      return bytes.dropLast(message.payload.count)
    }
    #expect(header(message(at: 100, [1])).count == 12)
    #expect(header(message(at: 120, [1])) == [0x86, 0, 0, 20])
    #expect(header(message(at: 140, [1])) == [0xC6])
    #expect(header(message(at: 150, [1, 2])) == [0x46, 0, 0, 10, 0, 0, 2, 9])
    #expect(header(message(at: 149, [1, 2])).first == 0x06, "time goes back")
    #expect(header(message(stream: 2, at: 150, [1, 2])).first == 0x06, "another message stream")
  }

  // §5.3.1.3.
  @Test func `a wire image repeats an extended timestamp on every chunk`() {
    let payload = Slice([UInt8](repeating: 9, count: 300))
    let image = ChunkWriter.wireImage(
      type: .video, chunkStreamID: 6, streamID: 1, timestamp: 0x0100_0000, payloadParts: [payload.sub(0..<100), payload.sub(100..<300)],
      chunkSize: 128)
    #expect(image.count == 300 + 16 + 5 + 5)
    #expect(Array(image.array[..<16]) == [6, 255, 255, 255, 0, 1, 0x2C, 9, 1, 0, 0, 0, 1, 0, 0, 0])
    #expect(Array(image.array[144..<149]) == [0xC6, 1, 0, 0, 0])
  }
}

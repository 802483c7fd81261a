import MartletPeerEngine
import MartletPrimitives
import MartletRTP
import MartletSDP
import Testing

/// Video in RED with ULPFEC, as browsers send it, and FlexFEC beside it.
@Suite struct IncomingRepairTests {
  private static let codecs = [
    RTPCodec(96, "VP8", clockRate: 90_000, feedback: [.nack]), RTPCodec(116, "red", clockRate: 90_000),
    RTPCodec(117, "ulpfec", clockRate: 90_000), RTPCodec(118, "flexfec-03", clockRate: 90_000),
    RTPCodec(119, "rtx", clockRate: 90_000, parameters: "apt=116"),
  ]
  private let now = Instant.zero + .seconds(1)

  private func media() -> IncomingMedia {
    IncomingMedia(
      [
        IncomingSection(
          mid: "0", kind: .video, codecs: Self.codecs, extensions: HeaderExtensions(), announced: [.init(ssrc: 7, rtx: 8)])
      ], reporter: 1)
  }

  private func packet(_ number: UInt16, type: UInt8, ssrc: UInt32 = 7, marker: Bool = false, _ payload: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    RTPHeaderFields(payloadType: type, sequenceNumber: number, timestamp: 3000, ssrc: ssrc, marker: marker).write(into: &writer)
    writer.append(payload)
    return writer.bytes
  }

  /// VP8: the start of a key frame, and what follows it.
  private let contents: [[UInt8]] = [[0x10, 0x00, 1, 2, 3], [0x00, 4, 5], [0x00, 6]]

  private func ulpfec(_ protected: [[UInt8]], base: UInt16) -> [UInt8] {
    var parity = Parity()
    for packet in protected { parity.toggle(packet.span.bytes) }
    var writer = ByteWriter()
    writer.u16(parity.flags)
    writer.u16(base)
    writer.u32(parity.timestamp)
    writer.u16(parity.length)
    writer.u16(UInt16(parity.payload.count))
    writer.u16(UInt16.max << UInt16(16 - protected.count))
    writer.append(parity.payload)
    return writer.bytes
  }

  private func receive(_ packet: [UInt8], _ media: inout IncomingMedia) -> (IncomingMedia.Packet, payload: [UInt8])? {
    var buffer = packet
    let taken = buffer.withUnsafeMutableBytes { media.receive($0, now: now) }
    return taken.map { ($0, Array(buffer[$0.payload])) }
  }

  // RFC 5109 §14, RFC 2198
  @Test func `a packet that ULPFEC brings back goes on like the others, and is not asked for`() throws {
    var media = media()
    let protected = contents.enumerated().map { packet(UInt16(10 + $0), type: 96, marker: $0 == 2, $1) }
    let firstTaken = receive(packet(10, type: 116, [96] + contents[0]), &media)
    let first = try #require(firstTaken)
    #expect(first.payload == contents[0])
    #expect(first.0.header.payloadType == 96)
    #expect(first.0.startsKeyFrame)
    // 11 is lost.
    _ = receive(packet(12, type: 116, marker: true, [96] + contents[2]), &media)
    let repairTaken = receive(packet(13, type: 116, [117] + ulpfec(protected, base: 10)), &media)
    let repair = try #require(repairTaken)
    #expect(repair.payload.isEmpty)
    let recovered = media.pollRecovered(now: now)
    let (back, bytes) = try #require(recovered)
    #expect(bytes == protected[1])
    #expect(back.header.sequenceNumber == 11)
    #expect(Array(bytes[back.payload]) == contents[1])
    #expect(media.streams[0].recoveredByFEC == 1)
    var (packets, blocks): ([RTCPPacket], [ReportBlock]) = ([], [])
    media.poll(now: now + .seconds(1), into: &packets, blocks: &blocks)
    #expect(!packets.contains { if case .nack = $0 { true } else { false } })
    // The network lost it all the same.
    #expect(blocks.first?.cumulativeLost == 1)
  }

  // RFC 4588 §4: with RED, what is sent again is in RED too.
  @Test func `a retransmission in RED is what it was`() throws {
    var media = media()
    _ = receive(packet(10, type: 116, [96] + contents[0]), &media)
    let againTaken = receive(packet(500, type: 119, ssrc: 8, [0, 11, 96] + contents[1]), &media)
    let again = try #require(againTaken)
    #expect(again.0.header.sequenceNumber == 11)
    #expect(again.0.header.payloadType == 96)
    #expect(again.payload == contents[1])
  }

  // draft-ietf-payload-flexible-fec-scheme-03 §4
  @Test func `a repair stream of its own does the same`() throws {
    var media = media()
    let protected = contents.enumerated().map { packet(UInt16(10 + $0), type: 96, $1) }
    var encoder = FlexFECEncoder(ssrc: 7, groupSize: 3)
    var writer = ByteWriter()
    for (index, packet) in protected.enumerated() { _ = encoder.add(packet.span.bytes, number: UInt16(10 + index), into: &writer) }
    _ = receive(protected[0], &media)
    _ = receive(protected[2], &media)
    let repair = receive(packet(1, type: 118, ssrc: 99, writer.bytes), &media)
    #expect(repair == nil)
    let recovered = media.pollRecovered(now: now)
    #expect(recovered?.bytes == protected[1])
    #expect(media.streams.count == 1)
  }

  @Test func `garbage in RED and in repair packets is counted and harms nothing`() {
    var media = media()
    var random = RandomSource(seed: 5)
    for number in 0..<2000 as Range<UInt16> {
      let type: UInt8 = [96, 116, 118][Int(number % 3)]
      let payload = (type == 116 ? [117] : []) + random.bytes(Int(random.next() % 64))
      _ = receive(packet(number, type: type, ssrc: type == 118 ? 99 : 7, payload), &media)
      while media.pollRecovered(now: now) != nil {}
    }
    #expect(media.drops.malformed > 100)
    let last = receive(packet(2000, type: 116, [96] + contents[0]), &media)
    #expect(last?.payload == contents[0])
  }
}

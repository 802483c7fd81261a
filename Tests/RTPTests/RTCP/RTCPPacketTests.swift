import MartletPrimitives
import MartletRTP
import Testing

/// The packets of a datagram.
func parse(_ bytes: [UInt8], limits: RTCPLimits = RTCPLimits()) throws -> [RTCPPacket] {
  var packets: [RTCPPacket] = []
  try RTCPPacket.parse(bytes.span.bytes, limits: limits, into: &packets)
  return packets
}

func write(_ packets: [RTCPPacket]) -> [UInt8] {
  var writer = ByteWriter()
  for packet in packets { packet.write(into: &writer) }
  return writer.bytes
}

@Suite struct RTCPPacketTests {
  private static let block = ReportBlock(
    ssrc: 0xAABB_CCDD, fractionLost: 25, cumulativeLost: -3, extendedHighest: 0x0001_FFFF, jitter: 90, lastSenderReport: 0x1234_5678,
    delaySinceLastSenderReport: 65_536)

  static let samples: [RTCPPacket] = [
    .senderReport(
      SenderReport(ssrc: 1, ntp: NTPTime(value: 0xE000_0000_8000_0000), timestamp: 90_000, packets: 10, bytes: 12_000, blocks: [block])),
    .receiverReport(ReceiverReport(ssrc: 2, blocks: [block, ReportBlock(ssrc: 9, cumulativeLost: 0x7F_FFFF)])),
    .sourceDescription([SourceDescription(ssrc: 3, cname: "martlet"), SourceDescription(ssrc: 4, cname: nil)]),
    .goodbye(Goodbye(sources: [5, 6], reason: "bye")),
    .application(ApplicationPacket(subtype: 3, ssrc: 7, name: 0x5445_5354, data: [1, 2, 3, 4])),
    .nack(GenericNACK(sender: 1, media: 2, lost: [65_530, 65_535, 10, 11, 100])),
    .pictureLoss(PictureLossIndication(sender: 1, media: 2)),
    .fullIntraRequest(FullIntraRequest(sender: 1, entries: [.init(ssrc: 2, sequenceNumber: 255)])),
    .bitrateEstimate(ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: 2_500_000, sources: [2, 3])),
    .transportFeedback(
      TransportFeedback(
        sender: 1, media: 2, baseSequenceNumber: 65_534, referenceTime: -5, feedbackCount: 7, deltas: [0, nil, 255, 256, -1, nil, 4])),
    .extendedReport(
      ExtendedReport(
        ssrc: 8, referenceTime: NTPTime(value: 77),
        replies: [.init(ssrc: 1, lastReferenceTime: 2, delay: 3), .init(ssrc: 4, lastReferenceTime: 5, delay: 6)])),
  ]

  @Test func `what is written reads the same, alone and in a compound`() throws {
    for sample in Self.samples { #expect(try parse(write([sample])) == [sample]) }
    let bytes = write(Self.samples)
    #expect(bytes.count % 4 == 0)
    #expect(try parse(bytes) == Self.samples)
  }

  // RFC 3550 §6.4.1, field by field.
  @Test func `a sender report as it is on the wire`() throws {
    let bytes = hex(
      "81c8000c 11223344 e0000000 80000000 00015f90 0000000a 00002ee0 aabbccdd 19fffffd 0001ffff 0000005a 12345678 00010000")
    var report = SenderReport(
      ssrc: 0x1122_3344, ntp: NTPTime(value: 0xE000_0000_8000_0000), timestamp: 90_000, packets: 10, bytes: 12_000)
    report.blocks = [Self.block]
    #expect(try parse(bytes) == [.senderReport(report)])
    #expect(write([.senderReport(report)]) == bytes)
  }

  @Test func `what ends too soon is refused at every byte`() {
    for sample in Self.samples {
      let bytes = write([sample])
      for count in 1..<bytes.count { #expect(throws: ParseError.self) { try parse(Array(bytes.prefix(count))) } }
    }
  }

  // RFC 3550 §6.4.1: the length says less than the content needs.
  @Test func `a body shorter than its counts is refused`() {
    for type in [200, 201, 202, 203] as [UInt8] {
      #expect(throws: ParseError.self) { try parse([0x9F, type, 0, 1, 0, 0, 0, 1]) }
    }
    #expect(throws: ParseError.self) { try parse([0x81, 205, 0, 0]) }
    #expect(throws: ParseError.self) { try parse([0x81, 206, 0, 0]) }
    #expect(throws: ParseError.self) { try parse([0x80, 207, 0, 0]) }
  }

  @Test func `unknown types and formats are passed over`() throws {
    let unknown = hex("80d00001 00000001 8bcd0002 00000001 00000002 8fce0003 00000001 00000000 41424344")
    let known = write([Self.samples[6]])
    #expect(try parse(unknown + known) == [Self.samples[6]])
  }

  @Test func `what came before a malformed packet is kept`() {
    var packets: [RTCPPacket] = []
    let bytes = write([Self.samples[6]]) + [0x41, 206, 0, 0]
    #expect(throws: ParseError.invalid("RTCP version 1, expected 2", at: 12)) { try RTCPPacket.parse(bytes.span.bytes, into: &packets) }
    #expect(packets == [Self.samples[6]])
  }

  @Test func `padding is taken off`() throws {
    #expect(try parse(hex("a1ce0003 00000001 00000002 00000004")) == [.pictureLoss(PictureLossIndication(sender: 1, media: 2))])
    #expect(throws: ParseError.self) { try parse(hex("a1ce0003 00000001 00000002 00000000")) }
    #expect(throws: ParseError.self) { try parse(hex("a1ce0003 00000001 00000002 0000000d")) }
    #expect(throws: ParseError.self) { try parse(hex("a0c90000")) }
  }

  // RFC 3550 §6.4.2: more than 31 sources take further packets.
  @Test func `blocks beyond 31 follow in further reports`() throws {
    let blocks = (0..<70 as Range<UInt32>).map { ReportBlock(ssrc: $0) }
    let receiver = try parse(write([.receiverReport(ReceiverReport(ssrc: 1, blocks: blocks))]))
    #expect(
      receiver.map { if case .receiverReport(let report) = $0 { report.blocks.count } else { 0 } } == [31, 31, 8])
    let sender = try parse(
      write([.senderReport(SenderReport(ssrc: 1, ntp: NTPTime(value: 1), timestamp: 0, packets: 0, bytes: 0, blocks: blocks))]))
    #expect(sender.count == 3)
  }

  // RFC 4585 §6.2.1.
  @Test func `a NACK names a packet and the sixteen behind it`() throws {
    let bytes = write([.nack(GenericNACK(sender: 1, media: 2, lost: [100, 101, 116, 117, 65_535, 0, 0]))])
    #expect(bytes == hex("81cd0005 00000001 00000002 00648001 00750000 ffff0001"))
    #expect(try parse(bytes) == [.nack(GenericNACK(sender: 1, media: 2, lost: [100, 101, 116, 117, 65_535, 0]))])
  }

  // draft-alvestrand-rmcat-remb-03 §2.2.
  @Test func `an estimated bitrate keeps 18 significant bits`() throws {
    for (rate, read) in [(0, 0), (262_143, 262_143), (262_145, 262_144), (10_000_001, 10_000_000)] as [(UInt64, UInt64)] {
      let packet = ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: rate, sources: [])
      #expect(
        try parse(write([.bitrateEstimate(packet)])) == [
          .bitrateEstimate(ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: read, sources: []))
        ])
    }
    let endless = hex("8fce0004 00000001 00000000 52454d42 00ffffff")
    #expect(try parse(endless) == [.bitrateEstimate(ReceiverEstimatedBitrate(sender: 1, bitsPerSecond: .max, sources: []))])
  }

  @Test func `the limits hold`() {
    var limits = RTCPLimits()
    (limits.packets, limits.nackedPackets, limits.feedbackPackets) = (2, 16, 10)
    let loss = write([Self.samples[6]])
    #expect(throws: ParseError.limit("RTCP packets in a datagram", maximum: 2)) { try parse(loss + loss + loss, limits: limits) }
    #expect(throws: ParseError.limit("packets in a NACK", maximum: 16)) {
      try parse(hex("81cd0003 00000001 00000002 0064ffff"), limits: limits)
    }
    #expect(throws: ParseError.limit("packets in a transport-wide feedback", maximum: 10)) {
      try parse(hex("8fcd0005 00000001 00000002 0001000b 00000000 000b0000"), limits: limits)
    }
  }

  @Test func `garbage never traps`() {
    var random = RandomSource(seed: 1)
    for _ in 0..<20_000 {
      var bytes = random.bytes(Int.random(in: 0...80, using: &random))
      if bytes.count > 3 {
        bytes[0] = 0x80 | bytes[0] & 0x3F
        bytes[1] = UInt8.random(in: 200...207, using: &random)
        (bytes[2], bytes[3]) = (0, UInt8(bytes.count / 4 - 1))
      }
      _ = try? parse(bytes)
    }
  }
}

import MartletCodecs
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct PayloadRoundTripTests {
  @Test(arguments: PayloadSamples.all, [64, 200, 1144, 9000])
  func `a frame of any size comes back from its packets`(_ codec: Codec, _ maximum: Int) throws {
    var samples = PayloadSamples(codec, seed: UInt64(maximum))
    for round in 0..<60 {
      let isKey = round % 5 == 0
      let size = codec == .opus ? min(maximum - 1, 400) : Int.random(in: 1...20_000, using: &samples.random)
      let frame = samples.frame(isKey: isKey, size: size)
      let payloads = try rtpPayloads(of: frame, codec, maximumSize: maximum)
      #expect(payloads.allSatisfy { !$0.isEmpty && $0.count <= maximum })
      // A unit that is the first of all is taken only if it says that it begins: a key frame does, so it goes in front.
      let start = try rtpPayloads(of: samples.frame(isKey: true, size: min(100, maximum - 1)), codec, maximumSize: maximum)
      let units = try unitsBehind(start, payloads, codec)
      #expect(units.count == 2)
      #expect(units.last?.payload == frame.payload)
      #expect(units.last?.isKey == frame.isKey)
    }
  }

  private func unitsBehind(_ start: [Slice], _ payloads: [Slice], _ codec: Codec) throws -> [AccessUnit] {
    var depacketizer = try #require(RTPDepacketizer(codec))
    var events: [DepacketizerEvent] = []
    var sequence: Int64 = 0
    for (time, unit) in [start, payloads].enumerated() {
      for (index, payload) in unit.enumerated() {
        let packet = SequencedPayload(
          sequence: sequence, timestamp: Int64(time) * 3000, marker: index == unit.count - 1, payload: payload)
        depacketizer.receive(packet, into: &events)
        sequence += 1
      }
    }
    #expect(!events.contains(.lost))
    return events.compactMap(\.unit)
  }

  // DESIGN: UDP_SEGMENT wants segments of one size, the last may be shorter.
  @Test(arguments: PayloadSamples.video) func `packets of a large frame are of one size`(_ codec: Codec) throws {
    var samples = PayloadSamples(codec, seed: 9)
    for size in [1150, 2300, 5000, 40_000] {
      let body = samples.bytes(size)
      let payload: [UInt8]
      switch codec {
      case .h264: payload = PayloadSamples.lengthPrefixed([[0x41] + body])
      case .hevc: payload = PayloadSamples.lengthPrefixed([[0x02, 1] + body])
      case .vp9: payload = [0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0b, 0x30, 0, 0] + body
      case .av1:
        var unit = ByteWriter()
        PayloadSamples.appendOBU(0x32, body, &unit)
        payload = unit.bytes
      default: payload = [0x10] + body
      }
      let frame = Frame(track: 0, dts: 0, pts: 0, isKey: false, payload: Slice(payload))
      let sizes = try rtpPayloads(of: frame, codec).map(\.count)
      #expect(sizes.count == (size + 1143) / 1130 || sizes.count == (size + 1130) / 1144 + 1)
      #expect(Set(sizes.dropLast()).count == 1, "\(sizes)")
      let (first, last) = (sizes.first ?? 0, sizes.last ?? 0)
      #expect(last <= first && first - last <= sizes.count + 4, "\(sizes)")
    }
  }

  @Test(arguments: [Codec.g711a, .g711u, .g722])
  func `audio that is counted in bytes is cut to the packet time`(codec: Codec) throws {
    var random = RandomSource(seed: 1)
    var packetizer = try #require(RTPPacketizer(codec, random: &random))
    var payloads = RTPPayloads()
    let frame = Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: Slice([UInt8](repeating: 7, count: 400)))
    try packetizer.packetize(frame, into: &payloads)
    #expect(payloads.slices.map(\.count) == [160, 160, 80])
    #expect((0..<3).map { payloads.timestampOffset(of: $0) } == [0, 160, 320])
    try packetizer.packetize(frame, into: &payloads)
    #expect(payloads.count == 3 && payloads.totalBytes == 400)
  }

  @Test func `what must travel whole and does not fit is refused`() throws {
    var random = RandomSource(seed: 1)
    var packetizer = try #require(RTPPacketizer(.opus, random: &random))
    var payloads = RTPPayloads()
    let large = Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: Slice([UInt8](repeating: 7, count: 2000)))
    #expect(throws: PayloadError.tooLarge("an audio frame", bytes: 2000, maximum: 1144)) {
      try packetizer.packetize(large, into: &payloads)
    }
    #expect(payloads.isEmpty)
    var options = RTPPacketizer.Options()
    options.singleNALUnits = true
    var single = try #require(RTPPacketizer(.h264, options: options, random: &random))
    var samples = PayloadSamples(.h264, seed: 1)
    #expect(throws: PayloadError.self) {
      try single.packetize(
        Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: Slice(PayloadSamples.lengthPrefixed([[0x65] + samples.bytes(2000)]))),
        into: &payloads)
    }
  }

  @Test func `codecs without a payload format have neither side`() {
    var random = RandomSource(seed: 1)
    for codec in [Codec.aac, .mp3, .data] {
      #expect(RTPPacketizer(codec, random: &random) == nil && RTPDepacketizer(codec) == nil)
    }
  }
}

import MartletCodecs
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct VideoPayloadTests {
  private func vp9Descriptor(_ payload: Slice) throws -> VP9Descriptor {
    var reader = ByteReader(payload.bytes)
    return try VP9Descriptor(&reader)
  }

  // RFC 7741 §4.2
  @Test func `a VP8 descriptor has all its fields`() throws {
    let bytes: [UInt8] = [0xb1, 0xf0, 0x92, 0x34, 0x56, 0xaf]
    var reader = ByteReader(bytes.span.bytes)
    let descriptor = try VP8Descriptor(&reader)
    #expect(descriptor.isDiscardable && descriptor.isPartitionStart && descriptor.partition == 1 && !descriptor.isFrameStart)
    #expect(descriptor.pictureID == 0x1234 && descriptor.tl0PictureIndex == 0x56)
    #expect(descriptor.temporalLayer == 2 && descriptor.isLayerSync && descriptor.keyIndex == 15)
    var writer = ByteWriter()
    descriptor.write(to: &writer)
    #expect(writer.bytes == bytes)
  }

  @Test func `a VP8 picture id may have seven bits`() throws {
    let bytes: [UInt8] = [0x90, 0x80, 0x7f]
    var reader = ByteReader(bytes.span.bytes)
    let descriptor = try VP8Descriptor(&reader)
    #expect(descriptor.pictureID == 0x7f && !descriptor.hasLongPictureID)
    var writer = ByteWriter()
    descriptor.write(to: &writer)
    #expect(writer.bytes == bytes)
  }

  // RFC 7741 §4.2: the picture id grows by one and wraps at 15 bits.
  @Test func `VP8 frames are numbered`() throws {
    var random = RandomSource(seed: 1)
    var packetizer = try #require(RTPPacketizer(.vp8, random: &random))
    var payloads = RTPPayloads()
    var last: UInt16?
    for _ in 0..<40_000 {
      try packetizer.packetize(Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: [0x10, 1]), into: &payloads)
      var reader = ByteReader(payloads[0])
      let descriptor = try VP8Descriptor(&reader)
      #expect(descriptor.isFrameStart && descriptor.hasLongPictureID)
      if let last { #expect(descriptor.pictureID == (last + 1) & 0x7fff) }
      last = descriptor.pictureID
    }
  }

  // RFC 9628 §4.2
  @Test func `a VP9 descriptor has all its fields in both modes`() throws {
    let texts: [[UInt8]] = [
      // Flexible: three references.
      [0xf8, 0x92, 0x34, 0x53, 0x03, 0x05, 0x06],
      // Non-flexible: TL0PICIDX and a structure of two layers with sizes and a group of two.
      [0xaf, 0x92, 0x34, 0x53, 0x77, 0x38, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 2, 0x04, 1, 0x38, 1, 2],
    ]
    for bytes in texts {
      var reader = ByteReader(bytes.span.bytes)
      let descriptor = try VP9Descriptor(&reader)
      #expect(reader.isAtEnd && descriptor.pictureID == 0x1234)
      #expect(descriptor.layers == .init(temporal: 2, spatial: 1, isSwitchingPoint: true, isInterLayerPredicted: true))
      var writer = ByteWriter()
      descriptor.write(to: &writer)
      #expect(writer.bytes == bytes)
      for length in 0..<bytes.count {
        #expect(throws: ParseError.self) { try vp9Descriptor(Slice(bytes).sub(0..<length)) }
      }
    }
    #expect(try vp9Descriptor(Slice(texts[0])).references == [1, 2, 3])
    let structure = try #require(vp9Descriptor(Slice(texts[1])).scalability)
    #expect(structure.spatialLayers == 2 && structure.sizes.map(\.width) == [320, 640] && structure.sizes.map(\.height) == [180, 360])
    #expect(structure.group?.map(\.references) == [[1], [1, 2]] && structure.group?.map(\.temporalLayer) == [0, 1])
  }

  // RFC 9628 §4.2: at most three references.
  @Test func `a fourth VP9 reference is refused`() {
    #expect(throws: ParseError.self) { try vp9Descriptor([0xd0, 0x81, 0x01, 3, 3, 3, 3, 2]) }
  }

  @Test func `the spatial layers of a VP9 picture come out as one unit`() throws {
    let lower: Slice = [0xa8 | 0x04, 0x81, 0x01, 0x00, 5, 0x82, 1]
    let upper: [Slice] = [[0xa8, 0x81, 0x01, 0x03, 5, 0x86, 2], [0xa4, 0x81, 0x01, 0x03, 5, 3]]
    let events = try depacketized([lower] + upper, .vp9)
    #expect(events.first?.unit?.payload == [0x82, 1, 0x86, 2, 3] && events.first?.unit?.isKey == true)
    // The end of the upper layer is missing.
    #expect(try depacketized([lower, upper[0]], .vp9) == [.lost])
    #expect(Codec.vp9.isKeyFrameStart(lower) && !Codec.vp9.isKeyFrameStart(upper[0]))
  }

  @Test func `a VP9 key frame says its size`() throws {
    var samples = PayloadSamples(.vp9, seed: 1)
    let payload = try #require(rtpPayloads(of: samples.frame(isKey: true, size: 100), .vp9).first)
    let descriptor = try vp9Descriptor(payload)
    #expect(descriptor.isKeyFrameStart && descriptor.isFrameEnd && !descriptor.isFlexible)
    #expect(descriptor.scalability?.sizes == [.init(width: 320, height: 180)])
    let inter = try #require(rtpPayloads(of: samples.frame(isKey: false, size: 100), .vp9).first)
    #expect(try vp9Descriptor(inter).isInterPredicted)
  }

  // RTP Payload Format for AV1 §4.4
  @Test func `AV1 elements lose their sizes and temporal delimiters`() throws {
    let unit: Slice = [0x12, 0, 0x0a, 2, 7, 8, 0x32, 3, 1, 2, 3]
    let frame = Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: unit)
    let payloads = try rtpPayloads(of: frame, .av1)
    #expect(payloads == [[0x28, 3, 0x08, 7, 8, 0x30, 1, 2, 3]])
    #expect(try depacketized(payloads, .av1).first?.unit?.payload == unit.dropFirst(2))
    #expect(Codec.av1.isKeyFrameStart(payloads[0]))
  }

  @Test func `AV1 elements each have a length when they are many`() throws {
    let payload: Slice = [0x08, 2, 0x08, 7, 1, 0x28, 1, 0x28, 2, 0x30, 9, 0]
    let event = try #require(depacketized([payload], .av1).first?.unit)
    #expect(event.payload == [0x0a, 1, 7, 0x2a, 0, 0x2a, 0, 0x32, 1, 9] && event.isKey)
    let many = Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: event.payload)
    #expect(try rtpPayloads(of: many, .av1) == [payload.sub(0..<payload.count - 1)])
  }

  @Test func `AV1 layers do not share a packet`() throws {
    let unit: Slice = [0x36, 0x00, 1, 5, 0x36, 0x08, 1, 6]
    let payloads = try rtpPayloads(of: Frame(track: 0, dts: 0, pts: 0, isKey: false, payload: unit), .av1)
    #expect(payloads == [[0x10, 0x34, 0x00, 5], [0x10, 0x34, 0x08, 6]])
  }

  @Test(
    arguments: [
      // A continuation of nothing, a fragment that does not go on, an unfinished one, lengths beyond the packet, a forbidden bit.
      [[0x90, 1]], [[0x58, 0x30, 1], [0x10, 0x30, 2]], [[0x58, 0x30, 1]], [[0x28, 9, 0x30]], [[0x08, 0xff, 0xff, 0xff, 0xff, 0xff]],
      [[0x18, 0xb0, 1]],
    ] as [[[UInt8]]])
  func `a malformed AV1 packet never comes out`(_ payloads: [[UInt8]]) throws {
    #expect(try depacketized(payloads.map { Slice($0) }, .av1).compactMap(\.unit).isEmpty)
  }

  @Test(arguments: PayloadSamples.all) func `no garbage traps, and none keeps more than the limit`(_ codec: Codec) throws {
    var samples = PayloadSamples(codec, seed: 3)
    var depacketizer = try #require(RTPDepacketizer(codec))
    var events: [DepacketizerEvent] = []
    var sequence: Int64 = 0
    for round in 0..<3000 {
      let isKey = round % 7 == 0
      var payload =
        try rtpPayloads(of: samples.frame(isKey: isKey, size: 60), codec, maximumSize: 64).randomElement(using: &samples.random)?.array
        ?? []
      switch round % 3 {
      case 0: payload = samples.bytes(Int.random(in: 0...40, using: &samples.random))
      case 1: payload = Array(payload.prefix(Int.random(in: 0...payload.count, using: &samples.random)))
      default: if let index = payload.indices.randomElement(using: &samples.random) { payload[index] = samples.bytes(1)[0] }
      }
      sequence += Int64.random(in: -1...2, using: &samples.random)
      _ = codec.isKeyFrameStart(payload.span.bytes)
      let marker = Bool.random(using: &samples.random)
      events.removeAll()
      depacketizer.receive(
        SequencedPayload(sequence: sequence, timestamp: Int64(round / 4), marker: marker, payload: Slice(payload)), into: &events)
      #expect(events.count <= 2)
    }
  }
}

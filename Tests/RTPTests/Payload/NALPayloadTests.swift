import MartletCodecs
import MartletPrimitives
import MartletRTP
import TestSupport
import Testing

@Suite struct NALPayloadTests {
  private func unit(_ parts: [UInt8]...) -> Slice { Slice(PayloadSamples.lengthPrefixed(parts)) }

  private func frame(_ parts: [UInt8]..., isKey: Bool = false) -> Frame {
    Frame(track: 0, dts: 0, pts: 0, isKey: isKey, payload: Slice(PayloadSamples.lengthPrefixed(parts)))
  }

  private func bytes(_ payloads: [Slice]) -> [[UInt8]] { payloads.map(\.array) }

  // RFC 6184 §5.7.1: the highest NRI of the units.
  @Test func `small H264 units travel together`() throws {
    let payloads = try rtpPayloads(of: frame([0x67, 1, 2], [0x28, 3], [0x65, 4]), .h264)
    #expect(bytes(payloads) == [[0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3, 0, 2, 0x65, 4]])
  }

  // RFC 7798 §4.4.2: the lowest layer and temporal id of the units.
  @Test func `small HEVC units travel together`() throws {
    let payloads = try rtpPayloads(of: frame([0x40, 1, 9], [0x26, 2, 8]), .hevc)
    #expect(bytes(payloads) == [[0x60, 1, 0, 3, 0x40, 1, 9, 0, 3, 0x26, 2, 8]])
  }

  // RFC 6184 §5.8
  @Test func `large H264 units are cut`() throws {
    let body = [UInt8](0..<150)
    let payloads = try rtpPayloads(of: frame([0x65] + body), .h264, maximumSize: 64)
    #expect(bytes(payloads).map { Array($0.prefix(2)) } == [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]])
    #expect(bytes(payloads).flatMap { $0.dropFirst(2) } == body)
  }

  // RFC 7798 §4.4.3
  @Test func `large HEVC units are cut`() throws {
    let body = [UInt8](0..<100)
    let payloads = try rtpPayloads(of: frame([0x26, 1] + body), .hevc, maximumSize: 64)
    #expect(bytes(payloads).map { Array($0.prefix(3)) } == [[0x62, 1, 0x93], [0x62, 1, 0x53]])
    #expect(bytes(payloads).flatMap { $0.dropFirst(3) } == body)
  }

  @Test func `parameter sets go before a key frame that lacks them`() throws {
    let record = "0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000568ef839cb0fdf8f800"
    let format = try TrackFormat.h264(avcC: Slice(Hex.decode(record) ?? []))
    var random = RandomSource(seed: 1)
    var packetizer = try #require(RTPPacketizer(.h264, random: &random))
    try packetizer.setFormat(format)
    var payloads = RTPPayloads()
    try packetizer.packetize(frame([0x65, 0x80, 1], isKey: true), into: &payloads)
    var units = NALUnits(try #require(depacketized(payloads.slices, .h264).first?.unit).payload)
    var types: [UInt8] = []
    while let unit = try units.next() { types.append(unit.array[0] & 0x1f) }
    #expect(types == [7, 8, 5])
    try packetizer.packetize(frame([0x67, 1], [0x65, 0x80, 1], isKey: true), into: &payloads)
    #expect(payloads.slices.map(\.count) == [10])
    try packetizer.packetize(frame([0x41, 1]), into: &payloads)
    #expect(payloads.slices == [[0x41, 1]])
  }

  @Test func `delimiters and filler are left out both ways`() throws {
    #expect(try bytes(rtpPayloads(of: frame([9, 0xf0], [0x41, 1], [12, 0xff]), .h264)) == [[0x41, 1]])
    #expect(try depacketized([[9, 0xf0], [0x67, 1], [0x41, 1]], .h264).first?.unit?.payload == unit([0x67, 1], [0x41, 1]))
  }

  @Test func `filler that came in fragments is left out`() throws {
    let payloads: [Slice] = [[0x67, 1], [0x7c, 0x8c, 0xff], [0x7c, 0x4c, 0xff], [0x41, 1], [0x0a]]
    #expect(try depacketized(payloads, .h264).first?.unit?.payload == unit([0x67, 1], [0x41, 1], [0x0a]))
  }

  // Cameras mark each parameter set, or give it a time of its own.
  @Test func `parameter sets wait for their picture`() throws {
    var depacketizer = try #require(RTPDepacketizer(.h264))
    var events: [DepacketizerEvent] = []
    for (index, payload) in ([[0x67, 1], [0x68, 2], [0x65, 3]] as [Slice]).enumerated() {
      depacketizer.receive(
        SequencedPayload(sequence: Int64(index), timestamp: Int64(index), marker: true, payload: payload), into: &events)
    }
    #expect(events.compactMap(\.unit).map(\.payload) == [unit([0x67, 1], [0x68, 2], [0x65, 3])])
    #expect(events.first?.unit?.timestamp == 2 && events.first?.unit?.sequences == 0...2)
  }

  @Test func `a new timestamp ends a unit whose marker is missing`() throws {
    var depacketizer = try #require(RTPDepacketizer(.h264))
    var events: [DepacketizerEvent] = []
    for (index, payload) in ([[0x67, 1], [0x65, 3], [0x41, 4], [0x41, 5]] as [Slice]).enumerated() {
      depacketizer.receive(
        SequencedPayload(sequence: Int64(index), timestamp: Int64(index / 2), marker: false, payload: payload), into: &events)
    }
    #expect(events.compactMap(\.unit).map(\.payload) == [unit([0x67, 1], [0x65, 3])])
  }

  @Test func `padding between units is no loss`() throws {
    var depacketizer = try #require(RTPDepacketizer(.h264))
    var events: [DepacketizerEvent] = []
    for (index, payload) in ([[0x67, 1], [0x65, 3], [], [0x41, 4]] as [Slice]).enumerated() {
      depacketizer.receive(
        SequencedPayload(sequence: Int64(index), timestamp: Int64(index / 2), marker: index % 2 == 1, payload: payload), into: &events)
    }
    #expect(events.compactMap(\.unit).count == 2 && !events.contains(.lost))
  }

  @Test(
    arguments: [
      // A fragment without its start, one inside another, a start twice, an unfinished one, the interleaved modes, a structure
      // inside another, and what is cut.
      [[0x67, 1], [0x7c, 0x05, 1]], [[0x67, 1], [0x7c, 0x85, 1], [0x41, 1]], [[0x67, 1], [0x7c, 0x85, 1], [0x7c, 0x85, 1]],
      [[0x67, 1], [0x7c, 0x85, 1]], [[0x67, 1], [0x19, 0, 0, 1]], [[0x67, 1], [0x78, 0, 2, 0x78, 1]], [[0x67, 1], [0x7c, 0x9c, 1]],
      [[0x67, 1], [0x78, 0, 9, 1]], [[0x67, 1], [0x78, 0]], [[0x67, 1], [0x7c]],
    ] as [[[UInt8]]])
  func `a malformed packet costs the unit`(_ payloads: [[UInt8]]) throws {
    #expect(try depacketized(payloads.map { Slice($0) }, .h264) == [.lost])
  }

  @Test func `the size of a unit is limited in bytes and packets`() throws {
    var limits = PayloadLimits()
    limits.accessUnitBytes = 1000
    let big = [Slice([0x67, 1])] + Array(repeating: Slice([0x41] + [UInt8](repeating: 0, count: 600)), count: 3)
    #expect(try depacketized(big, .h264, limits: limits) == [.lost])
    limits = PayloadLimits()
    limits.accessUnitPackets = 3
    #expect(try depacketized([[0x67, 1], [0x41, 1], [0x41, 1], [0x41, 1]], .h264, limits: limits) == [.lost])
    #expect(try depacketized([[0x67, 1], [0x41, 1], [0x41, 1]], .h264, limits: limits).first?.unit != nil)
  }

  @Test func `the start of a key frame is seen in every structure`() {
    let starts: [Slice] = [
      [0x67, 1], [0x65, 0x88], [0x78, 0, 2, 9, 0xf0, 0, 2, 0x67, 1], [0x78, 0, 2, 6, 1, 0, 2, 0x65, 0x80], [0x7c, 0x85, 0x88],
    ]
    for payload in starts { #expect(Codec.h264.isKeyFrameStart(payload)) }
    // A later slice, a later fragment, other units, and what is cut.
    let others: [Slice] = [
      [0x65, 0x40], [0x7c, 0x05, 0x88], [0x7c, 0x85, 0x40], [0x41, 0x88], [0x68, 1], [0x78, 0, 2, 0x41, 0x88], [0x7c], [],
    ]
    for payload in others { #expect(!Codec.h264.isKeyFrameStart(payload)) }
    let hevc: [Slice] = [[0x40, 1, 1], [0x42, 1, 1], [0x26, 1, 0x80], [0x60, 1, 0, 3, 0x40, 1, 9], [0x62, 1, 0x93, 0x80]]
    for payload in hevc { #expect(Codec.hevc.isKeyFrameStart(payload)) }
    for payload in [[0x02, 1, 0x80], [0x26, 1, 0x40], [0x62, 1, 0x13, 0x80], [0x44, 1, 1], [0x26]] as [Slice] {
      #expect(!Codec.hevc.isKeyFrameStart(payload))
    }
  }
}

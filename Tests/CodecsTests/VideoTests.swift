import MartletCodecs
import MartletPrimitives
import Testing

/// 320×180, 25 frames a second, High 1.2, by x264.
private let avcC = hex("0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000568ef839cb0fdf8f800")
/// 320×180, Main, by x265; without the SEI array that FFmpeg adds.
private let hvcC = hex(
  "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003c95980921"
    + "0001002b42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300c840"
    + "22000100074401c172b46240")
/// 320×180 by libaom.
private let av1C = hex("81000c000a0b000000043cfeccdaf90040")

@Suite struct H264Tests {
  @Test func `a format from avcC`() throws {
    let format = try TrackFormat.h264(avcC: avcC)
    #expect(format.width == 320 && format.height == 180 && format.frameRate == 25)
    #expect(format.codecString == "avc1.64000c" && format.timescale == 1000)
  }

  // 7.4.2.1.1: 1080 lines are 68 macroblock rows less 8 lines of cropping.
  @Test func `an SPS with cropping and a fractional frame rate`() throws {
    let sps = try H264SPS(hex("67640028acd940780227e5c04400000fa40003a9803c60c658"))
    #expect(sps.width == 1920 && sps.height == 1080 && abs(sps.frameRate - 29.97) < 0.001)
  }

  @Test func `an interlaced 4:2:2 SPS of 10 bits`() throws {
    let sps = try H264SPS(hex("677a0028b6cd94078044fcb8088000000300800000190f8b16cb"))
    #expect(sps.width == 1920 && sps.height == 1080 && sps.frameRate == 25)
    #expect(sps.chromaFormat == 2 && sps.bitDepthLuma == 10 && sps.bitDepthChroma == 10)
  }

  @Test func `avcC comes back as it was read`() throws {
    #expect(try H264Configuration(avcC).write() == avcC)
    var short = avcC.array
    short[4] = 0xfd
    #expect(try H264Configuration(Slice(short)).lengthSize == 2)
    #expect(try TrackFormat.h264(avcC: Slice(short)).configuration == avcC)
  }

  @Test func `damaged records throw`() {
    expectTruncationThrows(avcC.sub(0..<avcC.count - 4)) { _ = try TrackFormat.h264(avcC: $0) }
    feedGarbage(like: avcC) { _ = try TrackFormat.h264(avcC: $0) }
    feedGarbage(like: hex("67640028acd940780227e5c04400000fa40003a9803c60c658")) { _ = try H264SPS($0) }
  }

  @Test func `parameter sets in band change the format only when they differ`() throws {
    var sets = try ParameterSets(.h264, record: avcC)
    let configuration = try H264Configuration(avcC)
    let repeated = [sets.absorb(configuration.sps[0]), sets.absorb(configuration.pps[0])]
    #expect(repeated == [false, false])
    let changed = sets.absorb(hex("67640028acd940780227e5c04400000fa40003a9803c60c658"))
    #expect(changed)
    #expect(try sets.format().height == 1080)
    let damaged = sets.absorb([0x67, 1])
    #expect(!damaged)
  }
}

@Suite struct NALUnitTests {
  // ISO/IEC 14496-15 §4.3.3.
  @Test(arguments: [1, 2, 4]) func `length prefixes of every size`(size: Int) throws {
    var bytes: [UInt8] = []
    for unit in [[0x65, 1], [], [0x41, 2, 3]] as [[UInt8]] {
      bytes += [UInt8](repeating: 0, count: size - 1) + [UInt8(unit.count)] + unit
    }
    var units = NALUnits(Slice(bytes), lengthSize: size)
    let found = [try units.next(), try units.next(), try units.next()]
    #expect(found == [[0x65, 1], [0x41, 2, 3], nil])
    let normal = try NALUnits.normalised(Slice(bytes), lengthSize: size)
    #expect(size == 4 || normal == [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 3, 0x41, 2, 3])
  }

  @Test func `a length beyond the access unit throws`() {
    var units = NALUnits([0, 0, 0, 3, 1, 2])
    #expect(throws: ParseError.truncated(at: 4, needed: 3)) { try units.next() }
    var cut = NALUnits([0, 0])
    #expect(throws: ParseError.self) { try cut.next() }
    var huge = NALUnits([0xff, 0xff, 0xff, 0xff, 1])
    #expect(throws: ParseError.self) { try huge.next() }
  }

  // Annex B.1.1: three- and four-byte start codes, trailing zeros.
  @Test func `Annex B both ways`() throws {
    let stream: Slice = [0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 0, 1, 0x41, 7, 0, 0]
    let prefixed = AnnexB.lengthPrefixed(stream)
    #expect(prefixed == [0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 5, 0x65, 0, 0, 3, 1, 0, 0, 0, 2, 0x41, 7])
    var output: [UInt8] = []
    try AnnexB.append(prefixed, to: &output)
    #expect(output == [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0, 0, 1, 0x41, 7])
    #expect(AnnexB.lengthPrefixed([0, 0, 0]).isEmpty)
  }
}

@Suite struct HEVCTests {
  @Test func `a format from hvcC`() throws {
    let format = try TrackFormat.hevc(hvcC: hvcC)
    #expect(format.width == 320 && format.height == 180 && format.frameRate == 25)
    #expect(format.codecString == "hvc1.1.6.L60.90")
  }

  @Test func `hvcC comes back with the same parameter sets`() throws {
    let record = try HEVCConfiguration(hvcC)
    let written = try record.write()
    #expect(try HEVCConfiguration(written) == record)
    #expect(written.sub(0..<13) == hvcC.sub(0..<13))
    #expect(try ParameterSets(.hevc, record: hvcC).format().codecString == "hvc1.1.6.L60.90")
  }

  @Test func `an hvcC of countless empty units is refused`() {
    let bomb = hvcC.sub(0..<22).array + [1, 0x20, 0xff, 0xff] + [UInt8](repeating: 0, count: 131_070)
    #expect(throws: ParseError.limit("NAL units in an hvcC", maximum: 128)) { try HEVCConfiguration(Slice(bomb)) }
  }

  @Test func `damaged records throw`() throws {
    let record = try HEVCConfiguration(hvcC)
    expectTruncationThrows(hvcC) { _ = try TrackFormat.hevc(hvcC: $0) }
    feedGarbage(like: hvcC) { _ = try TrackFormat.hevc(hvcC: $0) }
    feedGarbage(like: record.sps[0]) { _ = try HEVCSPS($0) }
    feedGarbage(like: record.vps[0]) { _ = try HEVCVPS($0) }
  }
}

@Suite struct AV1Tests {
  @Test func `a format from av1C`() throws {
    let format = try TrackFormat.av1(av1C: av1C)
    #expect(format.width == 320 && format.height == 180 && format.codecString == "av01.0.00M.08")
    // The same from the sequence header in band.
    let inBand = try #require(try TrackFormat.av1(keyFrame: av1C.dropFirst(4)))
    #expect(inBand.configuration == av1C && inBand.width == 320)
  }

  // AV1 §7.5: a temporal unit begins with a temporal delimiter, which ISO BMFF leaves out.
  @Test func `temporal delimiters are dropped`() throws {
    let unit: Slice = [0x12, 0, 0x32, 1, 7, 0x32, 1, 8]
    #expect(try AV1.withoutTemporalDelimiters(unit) == [0x32, 1, 7, 0x32, 1, 8])
    #expect(try AV1.withoutTemporalDelimiters([0x32, 1, 7, 0x12, 0, 0x30, 8]) == [0x32, 1, 7, 0x30, 8])
  }

  @Test func `a temporal unit of countless OBUs is refused`() {
    let bomb = (0..<5000).flatMap { _ in [0x7a, 0] as [UInt8] }
    #expect(throws: ParseError.limit("OBUs in a temporal unit", maximum: 4096)) { try AV1.withoutTemporalDelimiters(Slice(bomb)) }
  }

  @Test func `damaged records throw`() {
    expectTruncationThrows(av1C.sub(4..<av1C.count)) { bytes in
      guard try TrackFormat.av1(keyFrame: bytes) != nil else { throw ParseError.truncated(at: 0, needed: 1) }
    }
    feedGarbage(like: av1C) { _ = try TrackFormat.av1(av1C: $0) }
    feedGarbage(like: av1C.dropFirst(4)) { _ = try AV1.withoutTemporalDelimiters($0) }
  }
}

@Suite struct VPXTests {
  @Test func `a VP9 record with and without the full box`() throws {
    let format = try TrackFormat.vp9(vpcC: hex("01000000000b820202020000"))
    #expect(format.codecString == "vp09.00.11.08" && format.configuration == hex("000b820202020000"))
    #expect(try TrackFormat.vp9(vpcC: format.configuration) == format)
    expectTruncationThrows(format.configuration) { _ = try TrackFormat.vp9(vpcC: $0) }
    feedGarbage(like: format.configuration) { _ = try TrackFormat.vp9(vpcC: $0) }
  }

  // VP9 §6.2: 320×180 key frame of profile 0, then an inter frame.
  @Test func `key frame headers say the size`() throws {
    let key = hex("824983420013f00b3600")
    let header = try #require(try VP9KeyFrame(key))
    #expect(header.width == 320 && header.height == 180)
    #expect(try VP9KeyFrame([0x86, 0, 0]) == nil)
    // RFC 6386 §9.1.
    #expect(try VP8KeyFrame([0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00])?.height == 180)
    expectTruncationThrows(key.sub(0..<9)) { _ = try VP9KeyFrame($0) }
    feedGarbage(like: key) { _ = try VP9KeyFrame($0) }
    feedGarbage(like: key) { _ = try VP8KeyFrame($0) }
  }
}

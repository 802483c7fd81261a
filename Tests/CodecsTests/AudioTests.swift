import MartletCodecs
import MartletPrimitives
import Testing

@Suite struct AACTests {
  // ISO/IEC 14496-3 table 1.15.
  @Test(arguments: [
    ("1208", 44100, 44100, 1, "mp4a.40.2"), ("1190", 48000, 48000, 2, "mp4a.40.2"), ("2b92088000", 22050, 44100, 2, "mp4a.40.5"),
    ("131056e59d4880", 24000, 48000, 2, "mp4a.40.29"), ("eb098800", 24000, 48000, 2, "mp4a.40.29"),
    ("139056e5a0", 22050, 44100, 2, "mp4a.40.5"),
  ])
  func `AudioSpecificConfig with and without SBR`(config: String, core: Int, rate: Int, channels: Int, name: String) throws {
    let format = try TrackFormat.aac(hex(config))
    #expect(format.timescale == Int32(core) && format.sampleRate == rate && format.channels == channels)
    #expect(format.codecString == name)
  }

  @Test func `what is written is read again`() throws {
    for rate in [48000, 44100, 7350, 50000] {
      let configuration = AACConfiguration(sampleRate: rate, channels: 2)
      #expect(try AACConfiguration(configuration.write()) == configuration)
    }
    #expect(AACConfiguration(sampleRate: 48000, channels: 2).write() == [0x11, 0x90])
  }

  // ISO/IEC 13818-7 §6.2.1.
  @Test func `an ADTS header both ways`() throws {
    var output: [UInt8] = []
    #expect(ADTSHeader.append(AACConfiguration(sampleRate: 44100, channels: 2), payloadCount: 364, to: &output))
    #expect(output == [0xff, 0xf1, 0x50, 0x80, 0x2e, 0x7f, 0xfc])
    let header = try ADTSHeader(output.span.bytes)
    #expect(header.frameLength == 371 && header.headerLength == 7)
    #expect(header.configuration == AACConfiguration(sampleRate: 44100, channels: 2))
    #expect(!ADTSHeader.append(header.configuration, payloadCount: 8185, to: &output) && output.count == 7)
    expectTruncationThrows(Slice(output)) { _ = try ADTSHeader($0.bytes) }
    feedGarbage(like: Slice(output)) { _ = try ADTSHeader($0.bytes) }
  }

  @Test func `damaged configurations throw`() {
    expectTruncationThrows([0x12]) { _ = try TrackFormat.aac($0) }
    #expect(throws: ParseError.self) { try TrackFormat.aac([0x17, 0x80]) }
    feedGarbage(like: hex("131056e59d4880")) { _ = try TrackFormat.aac($0) }
    feedGarbage(like: hex("1200050848000000")) { _ = try TrackFormat.aac($0) }
  }
}

@Suite struct MP3Tests {
  // ISO/IEC 11172-3 §2.4.2.3: 128 kbit/s, 44.1 kHz, joint stereo.
  @Test func `a frame header`() throws {
    let bytes: [UInt8] = [0xff, 0xfb, 0x90, 0x64]
    let header = try MP3Header(bytes.span.bytes)
    #expect(header.bitRate == 128_000 && header.sampleRate == 44100 && header.channels == 2)
    #expect(header.frameLength == 417 && header.samplesPerFrame == 1152)
    let half: [UInt8] = [0xff, 0xf3, 0x40, 0xc4]
    #expect(try MP3Header(half.span.bytes).samplesPerFrame == 576)
    expectTruncationThrows(Slice(bytes)) { _ = try MP3Header($0.bytes) }
    feedGarbage(like: Slice(bytes)) { _ = try MP3Header($0.bytes) }
  }
}

@Suite struct OpusTests {
  // RFC 7845 §5.1.
  @Test func `OpusHead with and without its magic`() throws {
    let head = hex("4f70757348656164010238018 0bb0000000000".replacing(" ", with: ""))
    let format = try TrackFormat.opus(head)
    #expect(format.channels == 2 && format.timescale == 48000 && format.codecString == "opus")
    #expect(try TrackFormat.opus(format.configuration) == format)
    let configuration = try OpusConfiguration(head)
    #expect(configuration.preSkip == 312 && configuration.inputSampleRate == 48000)
    #expect(Slice(configuration.writeHead()) == head)
    #expect(Slice(configuration.writeDOps()) == hex("000201380000bb80000000"))
    expectTruncationThrows(format.configuration) { _ = try TrackFormat.opus($0) }
    feedGarbage(like: format.configuration) { _ = try TrackFormat.opus($0) }
  }

  // RFC 6716 §3.1, table 2, and §3.2.5.
  @Test(
    arguments: [([0xfc], 960), ([0x08], 960), ([0x19], 5760), ([0x80], 120), ([0xe3, 0x03], 360), ([0x70, 0], 480)] as [([UInt8], Int)])
  func `durations by the TOC`(packet: [UInt8], samples: Int) throws {
    #expect(try OpusConfiguration.duration(of: Slice(packet)) == samples)
  }

  @Test func `packets above 120 ms are refused`() {
    #expect(throws: ParseError.self) { try OpusConfiguration.duration(of: [0x1b, 0x03]) }
    #expect(throws: ParseError.self) { try OpusConfiguration.duration(of: [0xff, 0x00]) }
    #expect(throws: ParseError.self) { try OpusConfiguration.duration(of: [0x03]) }
    #expect(throws: ParseError.self) { try OpusConfiguration.duration(of: []) }
  }
}

@Suite struct MediaTimeTests {
  @Test func `clocks convert to the nearest tick, also below zero`() {
    #expect(MediaTime.rescale(1024, from: 44100, to: 1000) == 23)
    #expect(MediaTime.rescale(-1024, from: 44100, to: 1000) == -23)
    #expect(MediaTime.rescale(33, from: 1000, to: 90000) == 2970)
    #expect(MediaTime.rescale(.max / 2, from: 1000, to: 1000) == .max / 2)
    _ = MediaTime.rescale(.min, from: 1000, to: 90000)
  }
}

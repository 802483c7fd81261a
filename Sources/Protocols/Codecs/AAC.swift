package import MartletPrimitives

/// An AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of AAC, with the explicit signalling of HE-AAC in both its forms:
/// hierarchical (object type 5 or 29 in front) and backward compatible (sync extension 0x2b7 behind).
package struct AACConfiguration: Sendable, Equatable {
  /// Of the core: 2 is AAC-LC.
  package var objectType: UInt8
  /// In hertz, of the core. Frame durations count in this clock.
  package var coreSampleRate: Int
  /// 1 to 7 and 11 to 14 as in table 1.19; 0 when a program config element says it.
  package var channelConfiguration: UInt8
  package var channels: Int
  package var usesSBR = false, usesPS = false
  /// In hertz, what a decoder puts out: twice the core's with SBR.
  package var sampleRate: Int
  /// Per frame in the core's clock: 1,024, or 960 in broadcasting.
  package var samplesPerFrame = 1024

  package init(objectType: UInt8 = 2, sampleRate: Int, channels: Int) {
    self.objectType = objectType
    (coreSampleRate, self.sampleRate) = (sampleRate, sampleRate)
    channelConfiguration = channels == 8 ? 7 : UInt8(min(max(channels, 0), 6))
    self.channels = channels
  }

  package init(_ bytes: Slice) throws(ParseError) {
    var reader = BitReader(bytes.bytes)
    objectType = try AACConfiguration.objectType(&reader)
    coreSampleRate = try AACConfiguration.rate(&reader)
    channelConfiguration = UInt8(try reader.bits(4))
    channels = AACConfiguration.channelCounts[Int(channelConfiguration)]
    sampleRate = coreSampleRate
    if objectType == 5 || objectType == 29 {
      (usesSBR, usesPS) = (true, objectType == 29)
      sampleRate = try AACConfiguration.rate(&reader)
      objectType = try AACConfiguration.objectType(&reader)
    }
    try general(&reader)
    if !usesSBR { compatibleExtension(&reader) }
    guard channels > 0 else { throw .invalid("an AAC channel configuration", at: 1) }
    if usesPS { channels = 2 }
  }

  /// GASpecificConfig, §4.4.1.
  private mutating func general(_ reader: inout BitReader) throws(ParseError) {
    guard [1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23].contains(objectType) else { return }
    // Some writers end after the two bytes that matter.
    guard reader.remaining > 0 else { return }
    if try reader.flag() { samplesPerFrame = 960 }
    if objectType == 23 { samplesPerFrame /= 2 }
    if reader.remaining > 0, try reader.flag() { try reader.skip(14) }
    if reader.remaining > 0 { try reader.skip(1) }
    if channelConfiguration == 0 { channels = try AACConfiguration.programConfigChannels(&reader) }
  }

  private mutating func compatibleExtension(_ reader: inout BitReader) {
    guard channelConfiguration != 0, let sync = try? reader.bits(11), sync == 0x2b7 else { return }
    guard let type = try? AACConfiguration.objectType(&reader), type == 5, let present = try? reader.flag(), present else { return }
    guard let rate = try? AACConfiguration.rate(&reader) else { return }
    (usesSBR, sampleRate) = (true, rate)
    if let again = try? reader.bits(11), again == 0x548, let ps = try? reader.flag() { usesPS = ps }
  }

  /// program_config_element, §4.4.1.1: single elements and the LFE count one channel, pairs two.
  private static func programConfigChannels(_ reader: inout BitReader) throws(ParseError) -> Int {
    try reader.skip(10)
    let elements = Int(try reader.bits(4)) + Int(try reader.bits(4)) + Int(try reader.bits(4))
    let lowFrequency = Int(try reader.bits(2))
    try reader.skip(7)
    for width in [4, 4, 3] where try reader.flag() { try reader.skip(width) }
    var channels = lowFrequency
    for _ in 0..<elements {
      channels += try reader.flag() ? 2 : 1
      try reader.skip(4)
    }
    return channels
  }

  private static func objectType(_ reader: inout BitReader) throws(ParseError) -> UInt8 {
    let type = try reader.bits(5)
    return type == 31 ? 32 + UInt8(try reader.bits(6)) : UInt8(type)
  }

  private static func rate(_ reader: inout BitReader) throws(ParseError) -> Int {
    let index = Int(try reader.bits(4))
    let rate = index == 15 ? Int(try reader.bits(24)) : index < sampleRates.count ? sampleRates[index] : 0
    guard 4000...192_000 ~= rate else { throw .invalid("an AAC sample rate", at: reader.position / 8) }
    return rate
  }

  /// Two bytes for what an encoder without SBR announces.
  package func write() -> Slice {
    var bits: UInt64 = UInt64(objectType & 0x1f) << 59
    var used = 5
    if let index = AACConfiguration.sampleRates.firstIndex(of: coreSampleRate) {
      bits |= UInt64(index) << 55
      used += 4
    } else {
      bits |= (15 << 24 | UInt64(coreSampleRate & 0xff_ffff)) << 31
      used += 28
    }
    bits |= UInt64(channelConfiguration & 0x0f) << UInt64(60 - used)
    used += 4
    if samplesPerFrame == 960 { bits |= 1 << UInt64(63 - used) }
    used += 3
    return Slice((0..<(used + 7) / 8).map { UInt8(truncatingIfNeeded: bits >> UInt64(56 - 8 * $0)) })
  }

  /// RFC 6381 §3.3: `mp4a.40.2`; 5 and 29 where SBR and PS are signalled.
  package var codecString: String { "mp4a.40.\(usesPS ? 29 : usesSBR ? 5 : objectType)" }

  static let sampleRates = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350]
  static let channelCounts = [0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0]
}

/// The header of one frame of the Audio Data Transport Stream (ISO/IEC 13818-7 §6.2).
package struct ADTSHeader: Sendable, Equatable {
  package var configuration: AACConfiguration
  /// 7, or 9 with a checksum.
  package var headerLength: Int
  /// Header included.
  package var frameLength: Int

  package init(_ bytes: RawSpan) throws(ParseError) {
    var reader = BitReader(bytes)
    guard try reader.bits(12) == 0xfff else { throw .invalid("an ADTS sync word", at: 0) }
    try reader.skip(3)
    headerLength = try reader.flag() ? 7 : 9
    let profile = try reader.bits(2)
    let index = Int(try reader.bits(4))
    guard index < AACConfiguration.sampleRates.count else { throw .invalid("an ADTS sample rate", at: 2) }
    try reader.skip(1)
    let channels = Int(try reader.bits(3))
    try reader.skip(4)
    frameLength = Int(try reader.bits(13))
    try reader.skip(13)
    guard frameLength > headerLength else { throw .invalid("an ADTS frame length", at: 4) }
    configuration = AACConfiguration(
      objectType: UInt8(profile) + 1, sampleRate: AACConfiguration.sampleRates[index], channels: AACConfiguration.channelCounts[channels])
  }

  /// Appends the seven bytes before a raw frame. False, with nothing written, for a frame above 8,184 bytes or a sample
  /// rate that ADTS has no index for. HE-AAC goes as its core, with implicit signalling, as ADTS requires.
  package static func append(_ configuration: AACConfiguration, payloadCount: Int, to output: inout [UInt8]) -> Bool {
    let length = payloadCount + 7
    guard length < 8192, let index = AACConfiguration.sampleRates.firstIndex(of: configuration.coreSampleRate) else { return false }
    let profile: UInt8 = 1...4 ~= configuration.objectType ? configuration.objectType - 1 : 1
    let channels = configuration.channelConfiguration & 7
    output.append(0xff)
    output.append(0xf1)
    output.append(profile << 6 | UInt8(index) << 2 | channels >> 2)
    output.append((channels & 3) << 6 | UInt8(length >> 11))
    output.append(UInt8(length >> 3 & 0xff))
    output.append(UInt8(length & 7) << 5 | 0x1f)
    output.append(0xfc)
    return true
  }
}

extension TrackFormat {
  /// AAC from an AudioSpecificConfig. With SBR `sampleRate` is what is heard, and `timescale` the core's rate, in which
  /// a frame lasts 1,024 ticks.
  package static func aac(_ audioSpecificConfig: Slice) throws(ParseError) -> TrackFormat {
    let configuration = try AACConfiguration(audioSpecificConfig)
    var format = TrackFormat(
      codec: .aac, timescale: Int32(configuration.coreSampleRate), configuration: audioSpecificConfig,
      codecString: configuration.codecString)
    (format.sampleRate, format.channels) = (configuration.sampleRate, configuration.channels)
    return format
  }
}

package import MartletPrimitives

/// The header of an MPEG-1 or MPEG-2 Layer III frame (ISO/IEC 11172-3 §2.4.2.3, 13818-3, and the 2.5 extension).
package struct MP3Header: Sendable, Equatable {
  /// MPEG-1; else the half and quarter sample rates of MPEG-2 and 2.5.
  package var isMPEG1: Bool
  /// Bits a second; 0 is the free format.
  package var bitRate: Int
  package var sampleRate: Int
  package var channels: Int
  /// Bytes, header included; 0 in the free format.
  package var frameLength: Int
  package var samplesPerFrame: Int { isMPEG1 ? 1152 : 576 }

  package init(_ bytes: RawSpan) throws(ParseError) {
    var reader = BitReader(bytes)
    guard try reader.bits(11) == 0x7ff else { throw .invalid("an MPEG audio sync word", at: 0) }
    let (version, layer) = (try reader.bits(2), try reader.bits(2))
    guard version != 1, layer == 1 else { throw .invalid("MPEG audio that is not Layer III", at: 1) }
    isMPEG1 = version == 3
    try reader.skip(1)
    let (bitRateIndex, rateIndex) = (Int(try reader.bits(4)), Int(try reader.bits(2)))
    guard bitRateIndex < 15, rateIndex < 3 else { throw .invalid("an MPEG audio bit or sample rate", at: 2) }
    let padding = Int(try reader.bits(1))
    try reader.skip(1)
    channels = try reader.bits(2) == 3 ? 1 : 2
    try reader.skip(6)
    sampleRate = [44100, 48000, 32000][rateIndex] >> (version == 3 ? 0 : version == 2 ? 1 : 2)
    bitRate = 1000 * (isMPEG1 ? MP3Header.bitRates1 : MP3Header.bitRates2)[bitRateIndex]
    frameLength = bitRate == 0 ? 0 : (isMPEG1 ? 144 : 72) * bitRate / sampleRate + padding
  }

  private static let bitRates1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
  private static let bitRates2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
}

extension TrackFormat {
  /// MP3 from the header of a frame. `mp3` is the name by which Firefox plays it inside MP4 (Chromium does so under none);
  /// HLS writes `mp4a.40.34`.
  package static func mp3(_ header: MP3Header) -> TrackFormat { mp3(sampleRate: header.sampleRate, channels: header.channels) }

  package static func mp3(sampleRate: Int, channels: Int) -> TrackFormat {
    var format = TrackFormat(codec: .mp3, timescale: Int32(clamping: sampleRate), codecString: "mp3")
    (format.sampleRate, format.channels) = (sampleRate, channels)
    return format
  }

  /// G.711 A-law or µ-law; RTMP carries it at 8,000 Hz.
  package static func g711(_ codec: Codec, sampleRate: Int = 8000, channels: Int = 1) -> TrackFormat {
    var format = TrackFormat(codec: codec, timescale: Int32(clamping: sampleRate), codecString: codec == .g711a ? "alaw" : "ulaw")
    (format.sampleRate, format.channels) = (sampleRate, channels)
    return format
  }
}

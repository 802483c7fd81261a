import MartletCodecs
import MartletPrimitives

/// Decoder configuration records and bitstream headers.
extension FuzzEntry {
  static let codecs = [h264, hevc, av1, vpx, audio]

  private static let h264 = FuzzEntry("h264", seeds: [TrackFormat.sampleVideo.configuration.array]) { bytes in
    let slice = Slice(bytes)
    if let record = try? H264Configuration(slice), let written = try? record.write() {
      // Bytes behind the PPS are not kept, so the record is compared, and its length size is ours.
      guard let again = try? H264Configuration(written) else { preconditionFailure("an avcC that cannot be read back") }
      require(again.sps == record.sps && again.pps == record.pps && again.lengthSize == 4, "an avcC that reads differently")
    }
    _ = try? TrackFormat.h264(avcC: slice)
    _ = try? H264SPS(slice)
    sets(.h264, slice)
  }

  private static let hevc = FuzzEntry("hevc", seeds: [TrackFormat.sample(.hevc).configuration.array]) { bytes in
    let slice = Slice(bytes)
    if let record = try? HEVCConfiguration(slice), let written = try? record.write() {
      guard let again = try? HEVCConfiguration(written) else { preconditionFailure("an hvcC that cannot be read back") }
      require(again.sps == record.sps && again.pps == record.pps && again.vps == record.vps, "an hvcC that reads differently")
    }
    _ = try? TrackFormat.hevc(hvcC: slice)
    _ = try? HEVCSPS(slice)
    _ = try? HEVCVPS(slice)
    sets(.hevc, slice)
  }

  /// The same bytes as an access unit and as a byte stream.
  private static func sets(_ codec: Codec, _ slice: Slice) {
    var sets = (try? ParameterSets(codec, record: slice)) ?? ParameterSets(codec)
    for size in [1, 2, 3, 4] {
      guard let normal = try? NALUnits.normalised(slice, lengthSize: size) else { continue }
      require(normal.count <= 4 * slice.count + 4, "many more bytes out than in")
      var units = NALUnits(normal)
      while let unit = try? units.next() { sets.absorb(unit) }
    }
    let again = AnnexB.lengthPrefixed(slice)
    var stream: [UInt8] = []
    require((try? AnnexB.append(again, to: &stream)) != nil, "units that do not add up")
    require(AnnexB.lengthPrefixed(Slice(stream)) == again, "a byte stream that reads differently")
    for unit in AnnexB.units(of: slice) { sets.absorb(unit) }
    _ = try? sets.format()
  }

  private static let av1 = FuzzEntry("av1", seeds: [TrackFormat.sample(.av1).configuration.array]) { bytes in
    let slice = Slice(bytes)
    _ = try? TrackFormat.av1(av1C: slice)
    _ = try? TrackFormat.av1(keyFrame: slice)
    if let header = try? AV1SequenceHeader(slice) { _ = header.codecString }
    var units = AV1.OBUs(slice)
    var total = 0
    while let unit = try? units.next() {
      total += unit.whole.count
      require(unit.whole.count > 0 && total <= slice.count, "units longer than what holds them")
    }
    guard let kept = try? AV1.withoutTemporalDelimiters(slice) else { return }
    require(kept.count <= slice.count, "more units out than in")
    require((try? AV1.withoutTemporalDelimiters(kept)) == kept, "a unit that changes when nothing is left to take out")
  }

  private static let vpx = FuzzEntry(
    "vpx",
    seeds: [
      VPConfiguration().write().array, [0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0b, 0x30, 0, 0],
      [0x10, 2, 0, 0x9d, 1, 0x2a, 64, 1, 180, 0],
    ]
  ) { bytes in
    let slice = Slice(bytes)
    if let record = try? VPConfiguration(slice) {
      require((try? VPConfiguration(record.write())) == record, "a vpcC that reads differently")
      _ = record.codecString(.vp9)
    }
    for codec in [Codec.vp8, .vp9] {
      if let format = try? TrackFormat.vpx(codec, keyFrame: slice) { require(format.width >= 0 && format.height >= 0, "a negative size") }
      _ = try? TrackFormat.vpx(codec, vpcC: slice)
    }
  }

  private static let audio = FuzzEntry(
    "audio",
    seeds: [
      [0x12, 0x10], [0x2b, 0x92, 0x08, 0], [0xff, 0xf1, 0x50, 0x80, 2, 0x1f, 0xfc, 1], [0xff, 0xfb, 0x90, 0],
      OpusConfiguration(channels: 2).writeHead(), [0xfc, 1, 2], [0xff, 0x83, 1, 1, 2, 3],
    ]
  ) { bytes in
    let slice = Slice(bytes)
    if let configuration = try? AACConfiguration(slice) {
      require(configuration.channels >= 0 && configuration.sampleRate >= 0 && configuration.samplesPerFrame > 0, "absurd figures")
      var output: [UInt8] = []
      if ADTSHeader.append(configuration, payloadCount: 10, to: &output) {
        guard let header = try? ADTSHeader(output.span.bytes) else { preconditionFailure("an ADTS header that cannot be read back") }
        require(header.frameLength == header.headerLength + 10, "an ADTS length that reads differently")
      }
      _ = configuration.codecString
      _ = configuration.write()
    }
    _ = try? TrackFormat.aac(slice)
    if let header = try? ADTSHeader(slice.bytes) { require(header.frameLength >= header.headerLength, "a frame smaller than its head") }
    if let header = try? MP3Header(slice.bytes) { require(header.sampleRate > 0 && header.frameLength >= 0, "absurd figures") }
    if let opus = try? OpusConfiguration(OpusConfiguration.withoutMagic(slice)) {
      guard let again = try? OpusConfiguration(opus.write()) else { preconditionFailure("an OpusHead that cannot be read back") }
      require(again == opus, "an OpusHead that reads differently")
      _ = opus.writeDOps()
    }
    // RFC 6716 §3.2.5: at most 120 ms.
    if let samples = try? OpusConfiguration.duration(of: slice) {
      require((1...5760).contains(samples), "an Opus packet of \(samples) samples")
    }
    _ = try? TrackFormat.opus(slice)
    _ = try? TrackFormat.opus(packet: slice)
  }
}

/// Formats of small real streams (x264, x265, libaom: 320×180).
extension TrackFormat {
  static let sampleVideo = sample(.h264)
  static let sampleAudio = sample(.aac)

  static func sample(_ codec: Codec) -> TrackFormat {
    let digits: String
    switch codec {
    case .h264: digits = "0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000568ef839cb0fdf8f800"
    case .hevc:
      digits =
        "0101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003c95980921"
        + "0001002b42010101600000030090000003000003003ca00a080b9f796566924caf016808000003000800000300c840"
        + "22000100074401c172b46240"
    case .av1: digits = "81000c000a0b000000043cfeccdaf90040"
    case .opus: digits = "01023801" + "80bb0000" + "000000"
    case .aac: digits = "1210"
    case .vp8, .vp9, .mp3, .g711a, .g711u, .g722, .data: digits = ""
    }
    return TrackFormat(codec: codec, timescale: codec.kind == .video ? 1000 : 44100, configuration: Slice(Hex.decode(digits) ?? []))
  }
}

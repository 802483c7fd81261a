package import MartletPrimitives

/// An HEVCDecoderConfigurationRecord, the body of `hvcC` (ISO/IEC 14496-15 §8.3.3.1).
package struct HEVCConfiguration: Sendable, Equatable {
  package var lengthSize = 4
  /// Whole NAL units.
  package var vps: [Slice], sps: [Slice], pps: [Slice]

  /// 16 VPS, 16 SPS and 64 PPS exist (H.265 §7.4.3), and some SEI may be with them.
  private static let maximumUnits = 128

  /// From parameter sets found in band.
  package init(vps: [Slice], sps: [Slice], pps: [Slice]) {
    self.vps = vps
    self.sps = sps
    self.pps = pps
  }

  package init(_ hvcC: Slice) throws(ParseError) {
    var reader = ByteReader(hvcC.bytes)
    guard try reader.u8() == 1 else { throw .invalid("an hvcC version other than 1", at: 0) }
    try reader.skip(20)
    lengthSize = Int(try reader.u8() & 3) + 1
    (vps, sps, pps) = ([], [], [])
    var units = 0
    for _ in 0..<(try reader.u8()) {
      let type = try reader.u8() & 0x3f
      for _ in 0..<(try reader.u16()) {
        units += 1
        guard units <= HEVCConfiguration.maximumUnits else { throw .limit("NAL units in an hvcC", maximum: HEVCConfiguration.maximumUnits) }
        let unit = try parameterSet(&reader)
        switch type {
        case HEVC.NALType.vps: vps.append(unit)
        case HEVC.NALType.sps: sps.append(unit)
        case HEVC.NALType.pps: pps.append(unit)
        default: break
        }
      }
    }
  }

  /// The record with 4-byte lengths, the form in which `Frame` carries HEVC.
  package func write() throws(ParseError) -> Slice {
    guard let first = sps.first else { throw .invalid("an HEVC configuration without an SPS", at: 0) }
    let parsed = try HEVCSPS(first)
    var writer = ByteWriter(capacity: 128)
    writer.append([1, parsed.profile.profileByte])
    writer.u32(parsed.profile.compatibility)
    writer.append(parsed.profile.constraints)
    writer.u8(parsed.profile.level)
    // min_spatial_segmentation_idc, parallelismType and avgFrameRate unknown; reserved bits are ones.
    writer.append([0xf0, 0, 0xfc, 0xfc | parsed.chromaFormat])
    writer.append([0xf8 | (parsed.bitDepthLuma - 8) & 7, 0xf8 | (parsed.bitDepthChroma - 8) & 7, 0, 0])
    writer.u8(parsed.temporalLayers << 3 | (parsed.temporalIdNested ? 4 : 0) | 3)
    let arrays = [(HEVC.NALType.vps, vps), (HEVC.NALType.sps, sps), (HEVC.NALType.pps, pps)].filter { !$0.1.isEmpty }
    writer.u8(UInt8(arrays.count))
    for (type, units) in arrays {
      guard units.count <= 0xff else { throw .limit("parameter sets", maximum: 0xff) }
      writer.u8(0x80 | type)
      writer.u16(UInt16(units.count))
      for unit in units { try H264Configuration.append(unit, to: &writer) }
    }
    return writer.slice
  }
}

extension TrackFormat {
  /// HEVC from the body of `hvcC`. The format's own record always says 4-byte lengths, as its frames have.
  package static func hevc(hvcC: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    let record = try HEVCConfiguration(hvcC)
    guard let first = record.sps.first else { throw .invalid("an hvcC without an SPS", at: 22) }
    let sps = try HEVCSPS(first)
    let configuration = record.lengthSize == 4 ? hvcC : try record.write()
    var format = TrackFormat(
      codec: .hevc, timescale: timescale, configuration: configuration, codecString: sps.profile.codecString)
    (format.width, format.height, format.frameRate) = (sps.width, sps.height, sps.frameRate)
    if format.frameRate == 0, let unit = record.vps.first, let vps = try? HEVCVPS(unit) { format.frameRate = vps.frameRate }
    return format
  }
}

package import MartletPrimitives

/// ITU-T H.265: the parts of the bitstream that a server reads to carry it.
package enum HEVC {
  /// nal_unit_type, table 7-1.
  package enum NALType {
    package static let vps: UInt8 = 32, sps: UInt8 = 33, pps: UInt8 = 34
    package static let accessUnitDelimiter: UInt8 = 35, prefixSEI: UInt8 = 39
    /// BLA, IDR and CRA pictures: decoding can start here.
    package static let randomAccess: ClosedRange<UInt8> = 16...23
  }

  /// An access unit delimiter for any pic_type (§7.3.2.5), without a start code or length.
  package static let accessUnitDelimiter: Slice = [0x46, 0x01, 0x50]

  package static func nalType(_ firstByte: UInt8) -> UInt8 { firstByte >> 1 & 0x3f }
}

/// The general part of profile_tier_level (§7.3.3).
package struct HEVCProfile: Sendable, Equatable {
  /// general_profile_space, _tier_flag and _profile_idc as one byte.
  package var profileByte: UInt8 = 0
  package var compatibility: UInt32 = 0
  /// progressive, interlaced, non-packed, frame-only and 44 more bits.
  package var constraints: [UInt8] = [0, 0, 0, 0, 0, 0]
  package var level: UInt8 = 0

  package init() {}

  init(_ reader: inout BitReader, maximumSubLayersMinus1: Int) throws(ParseError) {
    profileByte = UInt8(try reader.bits(8))
    compatibility = try reader.bits(32)
    for index in 0..<6 { constraints[index] = UInt8(try reader.bits(8)) }
    level = UInt8(try reader.bits(8))
    var present: [(profile: Bool, level: Bool)] = []
    for _ in 0..<maximumSubLayersMinus1 { present.append((try reader.flag(), try reader.flag())) }
    if maximumSubLayersMinus1 > 0 { try reader.skip(2 * (8 - maximumSubLayersMinus1)) }
    for layer in present {
      if layer.profile { try reader.skip(88) }
      if layer.level { try reader.skip(8) }
    }
  }

  /// `hvc1.1.6.L93.B0` (ISO/IEC 14496-15 annex E.3).
  package var codecString: String {
    let space = ["", "A", "B", "C"][Int(profileByte >> 6)]
    var reversed: UInt32 = 0
    for bit in 0..<32 where compatibility >> UInt32(bit) & 1 == 1 { reversed |= 1 << UInt32(31 - bit) }
    let tier = profileByte & 0x20 == 0 ? "L" : "H"
    var text = "hvc1.\(space)\(profileByte & 0x1f).\(hexadecimal(reversed).uppercased()).\(tier)\(level)"
    var bytes = constraints
    while bytes.last == 0 { bytes.removeLast() }
    for byte in bytes { text += "." + hexadecimal(byte).uppercased() }
    return text
  }
}

/// A video parameter set (§7.3.2.1): only its timing, which x265 and others write here and not in the SPS.
package struct HEVCVPS: Sendable, Equatable {
  package var frameRate = 0.0

  package init(_ nal: Slice) throws(ParseError) {
    let bytes = try RBSP.unescaped(nal)
    var reader = BitReader(bytes.span.bytes)
    guard HEVC.nalType(UInt8(try reader.bits(8))) == HEVC.NALType.vps else { throw .invalid("a NAL unit that is no VPS", at: 0) }
    try reader.skip(8 + 12)
    let subLayers = Int(try reader.bits(3))
    try reader.skip(1 + 16)
    _ = try HEVCProfile(&reader, maximumSubLayersMinus1: subLayers)
    let ordering = try reader.flag()
    for _ in (ordering ? 0 : subLayers)...subLayers { _ = (try reader.ue(), try reader.ue(), try reader.ue()) }
    let layerBits = Int(try reader.bits(6)) + 1
    let layerSets = try reader.ue()
    guard layerSets < 1024 else { throw .invalid("vps_num_layer_sets_minus1", at: reader.position / 8) }
    try reader.skip(layerBits * Int(layerSets))
    guard try reader.flag() else { return }
    let (unitsInTick, timeScale) = (try reader.bits(32), try reader.bits(32))
    frameRate = plausibleFrameRate(Double(timeScale), over: Double(unitsInTick))
  }
}

package import MartletPrimitives

/// ITU-T H.264: the parts of the bitstream that a server reads to carry it.
package enum H264 {
  /// nal_unit_type, table 7-1.
  package enum NALType {
    package static let slice: UInt8 = 1, idr: UInt8 = 5, sei: UInt8 = 6, sps: UInt8 = 7, pps: UInt8 = 8
    package static let accessUnitDelimiter: UInt8 = 9, spsExtension: UInt8 = 13
  }

  /// An access unit delimiter for any primary_pic_type (§7.3.2.4), without a start code or length.
  package static let accessUnitDelimiter: Slice = [0x09, 0xf0]

  package static func nalType(_ firstByte: UInt8) -> UInt8 { firstByte & 0x1f }
}

/// A sequence parameter set (§7.3.2.1.1), as far as its display size and frame rate.
package struct H264SPS: Sendable, Equatable {
  package var profile: UInt8, constraints: UInt8, level: UInt8
  /// seq_parameter_set_id, 0 to 31.
  package var id: UInt8
  /// chroma_format_idc: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
  package var chromaFormat: UInt8 = 1
  package var bitDepthLuma: UInt8 = 8, bitDepthChroma: UInt8 = 8
  /// Size in pixels after cropping.
  package var width = 0, height = 0
  /// Frames a second by the VUI timing; 0 when it does not say.
  package var frameRate = 0.0

  /// - Parameter nal: the whole NAL unit, header byte included. A VUI that is cut off only costs the frame rate, since
  ///   decoders accept such streams.
  package init(_ nal: Slice) throws(ParseError) {
    let bytes = try RBSP.unescaped(nal)
    var reader = BitReader(bytes.span.bytes)
    guard try reader.bits(8) & 0x1f == UInt32(H264.NALType.sps) else { throw .invalid("a NAL unit that is no SPS", at: 0) }
    profile = UInt8(try reader.bits(8))
    constraints = UInt8(try reader.bits(8))
    level = UInt8(try reader.bits(8))
    id = UInt8(clamping: try reader.ue())
    guard id < 32 else { throw .invalid("seq_parameter_set_id", at: reader.position / 8) }
    let separatePlanes = try chroma(&reader)
    try H264SPS.skipFrameNumbering(&reader)
    try size(&reader, chromaArrayType: separatePlanes ? 0 : chromaFormat)
    if try reader.flag(), let rate = try? H264SPS.vuiFrameRate(&reader) { frameRate = rate }
  }

  private static let highProfiles: Set<UInt8> = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]

  /// Whether avcC carries chroma and bit depth behind its parameter sets.
  var isHigh: Bool { profile == 100 || profile == 110 || profile == 122 || profile == 244 || profile == 144 }

  /// Answers separate_colour_plane_flag.
  private mutating func chroma(_ reader: inout BitReader) throws(ParseError) -> Bool {
    guard H264SPS.highProfiles.contains(profile) else { return false }
    let format = try reader.ue()
    guard format <= 3 else { throw .invalid("chroma_format_idc", at: reader.position / 8) }
    chromaFormat = UInt8(format)
    let separate = format == 3 ? try reader.flag() : false
    let (luma, chroma) = (try reader.ue(), try reader.ue())
    guard luma <= 6, chroma <= 6 else { throw .invalid("a bit depth", at: reader.position / 8) }
    bitDepthLuma = 8 + UInt8(luma)
    bitDepthChroma = 8 + UInt8(chroma)
    try reader.skip(1)
    if try reader.flag() {
      for list in 0..<(format == 3 ? 12 : 8) where try reader.flag() {
        try H264SPS.skipScalingList(&reader, size: list < 6 ? 16 : 64)
      }
    }
    return separate
  }

  /// §7.3.2.1.1.1.
  private static func skipScalingList(_ reader: inout BitReader, size: Int) throws(ParseError) {
    var last: Int32 = 8
    for _ in 0..<size {
      let next = (last &+ (try reader.se())) & 0xff
      if next == 0 { return }
      last = next
    }
  }

  private static func skipFrameNumbering(_ reader: inout BitReader) throws(ParseError) {
    _ = try reader.ue()
    switch try reader.ue() {
    case 0: _ = try reader.ue()
    case 1:
      try reader.skip(1)
      _ = (try reader.se(), try reader.se())
      let cycle = try reader.ue()
      guard cycle <= 255 else { throw .invalid("num_ref_frames_in_pic_order_cnt_cycle", at: reader.position / 8) }
      for _ in 0..<cycle { _ = try reader.se() }
    case 2: break
    default: throw .invalid("pic_order_cnt_type", at: reader.position / 8)
    }
    _ = try reader.ue()
    try reader.skip(1)
  }

  private mutating func size(_ reader: inout BitReader, chromaArrayType: UInt8) throws(ParseError) {
    let (widthUnits, heightUnits) = (Int(try reader.ue()) + 1, Int(try reader.ue()) + 1)
    guard widthUnits <= 4096, heightUnits <= 4096 else { throw .limit("a picture in macroblocks", maximum: 4096) }
    let framesOnly = try reader.flag()
    if !framesOnly { try reader.skip(1) }
    try reader.skip(1)
    width = widthUnits * 16
    height = heightUnits * 16 * (framesOnly ? 1 : 2)
    guard try reader.flag() else { return }
    let (left, right) = (Int(try reader.ue()), Int(try reader.ue()))
    let (top, bottom) = (Int(try reader.ue()), Int(try reader.ue()))
    // Equations 7-19 to 7-22: cropping is counted in chroma samples.
    let unitX = chromaArrayType == 1 || chromaArrayType == 2 ? 2 : 1
    let unitY = (chromaArrayType == 1 ? 2 : 1) * (framesOnly ? 1 : 2)
    let (cropX, cropY) = ((left + right) * unitX, (top + bottom) * unitY)
    guard cropX < width, cropY < height else { throw .invalid("cropping larger than the picture", at: reader.position / 8) }
    width -= cropX
    height -= cropY
  }

  /// Annex E.1.1, up to the timing.
  private static func vuiFrameRate(_ reader: inout BitReader) throws(ParseError) -> Double {
    try skipVideoSignal(&reader)
    guard try reader.flag() else { return 0 }
    let (unitsInTick, timeScale) = (try reader.bits(32), try reader.bits(32))
    return plausibleFrameRate(Double(timeScale), over: 2 * Double(unitsInTick))
  }
}

/// The head that the VUIs of H.264 (E.1.1) and HEVC (E.2.1) share: aspect ratio, overscan, signal type, chroma location.
func skipVideoSignal(_ reader: inout BitReader) throws(ParseError) {
  let extendedSAR: UInt32 = 255
  if try reader.flag(), try reader.bits(8) == extendedSAR { try reader.skip(32) }
  if try reader.flag() { try reader.skip(1) }
  if try reader.flag() {
    try reader.skip(4)
    if try reader.flag() { try reader.skip(24) }
  }
  if try reader.flag() { _ = (try reader.ue(), try reader.ue()) }
}

/// A frame rate from a bitstream, or 0 when it makes no sense.
func plausibleFrameRate(_ numerator: Double, over denominator: Double) -> Double {
  guard denominator > 0 else { return 0 }
  let rate = numerator / denominator
  return rate >= 0.1 && rate <= 1000 ? rate : 0
}

package import MartletPrimitives

/// A sequence parameter set of HEVC (§7.3.2.2.1), as far as its display size and frame rate.
package struct HEVCSPS: Sendable, Equatable {
  package var profile = HEVCProfile()
  /// sps_seq_parameter_set_id, 0 to 15.
  package var id: UInt8 = 0
  /// sps_max_sub_layers_minus1 + 1.
  package var temporalLayers: UInt8 = 1
  package var temporalIdNested = false
  package var chromaFormat: UInt8 = 1
  package var bitDepthLuma: UInt8 = 8, bitDepthChroma: UInt8 = 8
  /// Size in pixels inside the conformance window.
  package var width = 0, height = 0
  /// Frames a second by the VUI timing; 0 when it does not say.
  package var frameRate = 0.0

  /// - Parameter nal: the whole NAL unit, its two header bytes included. What cannot be read behind the size only
  ///   costs the frame rate.
  package init(_ nal: Slice) throws(ParseError) {
    let bytes = try RBSP.unescaped(nal)
    var reader = BitReader(bytes.span.bytes)
    guard HEVC.nalType(UInt8(try reader.bits(8))) == HEVC.NALType.sps else { throw .invalid("a NAL unit that is no SPS", at: 0) }
    try reader.skip(8 + 4)
    let subLayers = Int(try reader.bits(3))
    guard subLayers < 7 else { throw .invalid("sps_max_sub_layers_minus1", at: 2) }
    temporalLayers = UInt8(subLayers) + 1
    temporalIdNested = try reader.flag()
    profile = try HEVCProfile(&reader, maximumSubLayersMinus1: subLayers)
    id = UInt8(clamping: try reader.ue())
    guard id < 16 else { throw .invalid("sps_seq_parameter_set_id", at: reader.position / 8) }
    try size(&reader)
    if let rate = try? HEVCSPS.frameRate(&reader, subLayers: subLayers) { frameRate = rate }
  }

  private mutating func size(_ reader: inout BitReader) throws(ParseError) {
    let format = try reader.ue()
    guard format <= 3 else { throw .invalid("chroma_format_idc", at: reader.position / 8) }
    chromaFormat = UInt8(format)
    let separatePlanes = format == 3 ? try reader.flag() : false
    width = Int(try reader.ue())
    height = Int(try reader.ue())
    guard 1...65536 ~= width, 1...65536 ~= height else { throw .limit("a picture side in pixels", maximum: 65536) }
    if try reader.flag() {
      let (left, right) = (Int(try reader.ue()), Int(try reader.ue()))
      let (top, bottom) = (Int(try reader.ue()), Int(try reader.ue()))
      let subsampled = separatePlanes ? 0 : format
      let cropX = (left + right) * (subsampled == 1 || subsampled == 2 ? 2 : 1)
      let cropY = (top + bottom) * (subsampled == 1 ? 2 : 1)
      guard cropX < width, cropY < height else { throw .invalid("cropping larger than the picture", at: reader.position / 8) }
      width -= cropX
      height -= cropY
    }
    let (luma, chroma) = (try reader.ue(), try reader.ue())
    guard luma <= 8, chroma <= 8 else { throw .invalid("a bit depth", at: reader.position / 8) }
    bitDepthLuma = 8 + UInt8(luma)
    bitDepthChroma = 8 + UInt8(chroma)
  }

  /// Everything between the bit depths and the VUI's timing, which has to be walked to be skipped.
  private static func frameRate(_ reader: inout BitReader, subLayers: Int) throws(ParseError) -> Double {
    let pocBits = Int(try reader.ue()) + 4
    guard pocBits <= 16 else { throw .invalid("log2_max_pic_order_cnt_lsb_minus4", at: reader.position / 8) }
    for _ in (try reader.flag() ? 0 : subLayers)...subLayers { _ = (try reader.ue(), try reader.ue(), try reader.ue()) }
    for _ in 0..<6 { _ = try reader.ue() }
    if try reader.flag(), try reader.flag() { try skipScalingLists(&reader) }
    try reader.skip(2)
    if try reader.flag() {
      try reader.skip(8)
      _ = (try reader.ue(), try reader.ue())
      try reader.skip(1)
    }
    try skipReferenceSets(&reader)
    if try reader.flag() {
      let count = Int(try reader.ue())
      guard count <= 32 else { throw .invalid("num_long_term_ref_pics_sps", at: reader.position / 8) }
      try reader.skip(count * (pocBits + 1))
    }
    try reader.skip(2)
    guard try reader.flag() else { return 0 }
    try skipVideoSignal(&reader)
    try reader.skip(3)
    if try reader.flag() { for _ in 0..<4 { _ = try reader.ue() } }
    guard try reader.flag() else { return 0 }
    let (unitsInTick, timeScale) = (try reader.bits(32), try reader.bits(32))
    return plausibleFrameRate(Double(timeScale), over: Double(unitsInTick))
  }

  /// scaling_list_data, §7.3.4.
  private static func skipScalingLists(_ reader: inout BitReader) throws(ParseError) {
    for size in 0..<4 {
      for _ in stride(from: 0, to: 6, by: size == 3 ? 3 : 1) {
        guard try reader.flag() else {
          _ = try reader.ue()
          continue
        }
        if size > 1 { _ = try reader.se() }
        for _ in 0..<min(64, 1 << (4 + (size << 1))) { _ = try reader.se() }
      }
    }
  }

  /// st_ref_pic_set for each of num_short_term_ref_pic_sets, §7.3.7: sets may be coded as differences to the one before.
  private static func skipReferenceSets(_ reader: inout BitReader) throws(ParseError) {
    let count = try reader.ue()
    guard count <= 64 else { throw .invalid("num_short_term_ref_pic_sets", at: reader.position / 8) }
    var pictures = 0
    for set in 0..<count {
      if set > 0, try reader.flag() {
        try reader.skip(1)
        _ = try reader.ue()
        var kept = 0
        for _ in 0...pictures {
          // used_by_curr_pic_flag; only without it use_delta_flag follows, and without both the picture is left out.
          if try reader.flag() { kept += 1 } else if try reader.flag() { kept += 1 }
        }
        pictures = kept
      } else {
        let (negative, positive) = (Int(try reader.ue()), Int(try reader.ue()))
        guard negative <= 16, positive <= 16 else { throw .invalid("a reference picture set", at: reader.position / 8) }
        pictures = negative + positive
        for _ in 0..<pictures {
          _ = try reader.ue()
          try reader.skip(1)
        }
      }
    }
  }
}

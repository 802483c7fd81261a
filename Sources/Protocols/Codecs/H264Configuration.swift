package import MartletPrimitives

/// An AVCDecoderConfigurationRecord, the body of `avcC` (ISO/IEC 14496-15 §5.3.3.1).
package struct H264Configuration: Sendable, Equatable {
  /// Bytes in the length before each NAL unit: 1, 2 or 4 (3 is not allowed but harmless).
  package var lengthSize = 4
  /// Whole NAL units.
  package var sps: [Slice], pps: [Slice]

  /// From parameter sets found in band.
  package init(sps: [Slice], pps: [Slice]) {
    self.sps = sps
    self.pps = pps
  }

  package init(_ avcC: Slice) throws(ParseError) {
    var reader = ByteReader(avcC.bytes)
    guard try reader.u8() == 1 else { throw .invalid("an avcC version other than 1", at: 0) }
    try reader.skip(3)
    lengthSize = Int(try reader.u8() & 3) + 1
    sps = []
    pps = []
    for _ in 0..<(try reader.u8() & 0x1f) { sps.append(try parameterSet(&reader)) }
    for _ in 0..<(try reader.u8()) { pps.append(try parameterSet(&reader)) }
  }

  /// The record with 4-byte lengths, the form in which `Frame` carries H.264.
  package func write() throws(ParseError) -> Slice {
    guard let first = sps.first else { throw .invalid("an H.264 configuration without an SPS", at: 0) }
    guard sps.count < 32, pps.count < 256 else { throw .limit("parameter sets", maximum: 31) }
    let parsed = try H264SPS(first)
    var writer = ByteWriter(capacity: 64)
    writer.append([1, parsed.profile, parsed.constraints, parsed.level, 0xff])
    writer.u8(0xe0 | UInt8(truncatingIfNeeded: sps.count))
    for unit in sps { try H264Configuration.append(unit, to: &writer) }
    writer.u8(UInt8(truncatingIfNeeded: pps.count))
    for unit in pps { try H264Configuration.append(unit, to: &writer) }
    if parsed.isHigh {
      writer.append([0xfc | parsed.chromaFormat, 0xf8 | (parsed.bitDepthLuma - 8), 0xf8 | (parsed.bitDepthChroma - 8), 0])
    }
    return writer.slice
  }

  static func append(_ unit: Slice, to writer: inout ByteWriter) throws(ParseError) {
    guard unit.count <= 0xffff else { throw .limit("a parameter set in bytes", maximum: 0xffff) }
    writer.u16(UInt16(unit.count))
    writer.append(unit)
  }
}

extension TrackFormat {
  /// H.264 from the body of `avcC`. The format's own record always says 4-byte lengths, as its frames have.
  package static func h264(avcC: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    let record = try H264Configuration(avcC)
    guard let first = record.sps.first else { throw .invalid("an avcC without an SPS", at: 5) }
    let sps = try H264SPS(first)
    let configuration = record.lengthSize == 4 ? avcC : try record.write()
    let digits = [sps.profile, sps.constraints, sps.level].map { hexadecimal($0, width: 2) }.joined()
    var format = TrackFormat(codec: .h264, timescale: timescale, configuration: configuration, codecString: "avc1." + digits)
    (format.width, format.height, format.frameRate) = (sps.width, sps.height, sps.frameRate)
    return format
  }
}

package import MartletPrimitives

/// AV1 bitstream (AV1 specification 1.0.0 with errata 1): open bitstream units and the sequence header.
package enum AV1 {
  /// obu_type, §6.2.2.
  package enum OBUType {
    package static let sequenceHeader: UInt8 = 1, temporalDelimiter: UInt8 = 2, frameHeader: UInt8 = 3
    package static let tileGroup: UInt8 = 4, metadata: UInt8 = 5, frame: UInt8 = 6, padding: UInt8 = 15
  }

  package struct OBU: Sendable, Equatable {
    package var type: UInt8
    /// Header and size field included.
    package var whole: Slice
    package var payload: Slice
  }

  /// The units of a temporal unit in the low-overhead format (§5.2); the last one may lack its size.
  package struct OBUs: Sendable {
    private let source: Slice
    private var offset = 0
    package init(_ source: Slice) { self.source = source }

    package mutating func next() throws(ParseError) -> OBU? {
      guard offset < source.count else { return nil }
      let start = offset
      var reader = ByteReader(source.bytes)
      try reader.skip(start)
      let header = try reader.u8()
      guard header & 0x80 == 0 else { throw .invalid("an OBU with its forbidden bit set", at: start) }
      if header & 0x04 != 0 { try reader.skip(1) }
      let size = header & 0x02 != 0 ? try AV1.leb128(&reader) : reader.remaining
      guard size <= reader.remaining else { throw .truncated(at: reader.offset, needed: size) }
      let body = reader.offset
      offset = body + size
      return OBU(type: header >> 3 & 0x0f, whole: source.sub(start..<offset), payload: source.sub(body..<offset))
    }
  }

  /// leb128() of §4.10.5; at most 2^32 − 1.
  static func leb128(_ reader: inout ByteReader) throws(ParseError) -> Int {
    var value: UInt64 = 0
    for index in 0..<8 {
      let byte = try reader.u8()
      value |= UInt64(byte & 0x7f) << UInt64(index * 7)
      if byte & 0x80 == 0 {
        guard value <= 0xffff_ffff else { break }
        return Int(value)
      }
    }
    throw .invalid("a leb128 number above 32 bits", at: reader.offset)
  }

  /// A frame of the highest level has 512 tiles, each of which may be an OBU.
  private static let maximumUnits = 4096

  /// The temporal unit without temporal delimiters, as ISO BMFF and `Frame` carry it; the slice itself when it has none.
  package static func withoutTemporalDelimiters(_ temporalUnit: Slice) throws(ParseError) -> Slice {
    var units = OBUs(temporalUnit)
    var kept: [Slice] = []
    var dropped = false
    while let unit = try units.next() {
      if unit.type == OBUType.temporalDelimiter { dropped = true } else { kept.append(unit.whole) }
      guard kept.count <= maximumUnits else { throw .limit("OBUs in a temporal unit", maximum: maximumUnits) }
    }
    guard dropped else { return temporalUnit }
    // Almost always there is one delimiter, in front: then no byte is copied.
    if temporalUnit.bytes.byte(at: 0) == 0x12, kept.reduce(2, { $0 + $1.count }) == temporalUnit.count { return temporalUnit.dropFirst(2) }
    var writer = ByteWriter(capacity: temporalUnit.count)
    for unit in kept { writer.append(unit) }
    return writer.slice
  }
}

/// A sequence header OBU (§5.5).
package struct AV1SequenceHeader: Sendable, Equatable {
  package var profile: UInt8 = 0, level: UInt8 = 0, tier: UInt8 = 0
  /// 8, 10 or 12.
  package var bitDepth: UInt8 = 8
  package var isMonochrome = false
  package var subsamplingX = true, subsamplingY = true
  package var chromaSamplePosition: UInt8 = 0
  package var width = 0, height = 0
  /// Frames a second when the pictures are equally spaced; 0 when it does not say.
  package var frameRate = 0.0

  /// - Parameter payload: of the OBU, without header and size.
  package init(_ payload: Slice) throws(ParseError) {
    var reader = BitReader(payload.bytes)
    profile = UInt8(try reader.bits(3))
    guard profile <= 2 else { throw .invalid("seq_profile", at: 0) }
    try reader.skip(1)
    let reduced = try reader.flag()
    if reduced { level = UInt8(try reader.bits(5)) } else { try operatingPoints(&reader) }
    let (widthBits, heightBits) = (Int(try reader.bits(4)) + 1, Int(try reader.bits(4)) + 1)
    width = Int(try reader.bits(widthBits)) + 1
    height = Int(try reader.bits(heightBits)) + 1
    try AV1SequenceHeader.skipTools(&reader, reduced: reduced)
    try colour(&reader)
  }

  private mutating func operatingPoints(_ reader: inout BitReader) throws(ParseError) {
    var delayBits = 0
    var hasDecoderModel = false
    if try reader.flag() {
      let (unitsInTick, timeScale) = (try reader.bits(32), try reader.bits(32))
      if try reader.flag() {
        let ticks = Double(try reader.ue()) + 1
        frameRate = plausibleFrameRate(Double(timeScale), over: Double(unitsInTick) * ticks)
      }
      hasDecoderModel = try reader.flag()
      if hasDecoderModel {
        delayBits = Int(try reader.bits(5)) + 1
        try reader.skip(32 + 5 + 5)
      }
    }
    let hasInitialDelay = try reader.flag()
    for point in 0...Int(try reader.bits(5)) {
      try reader.skip(12)
      let pointLevel = UInt8(try reader.bits(5))
      let pointTier = pointLevel > 7 ? UInt8(try reader.bits(1)) : 0
      if point == 0 { (level, tier) = (pointLevel, pointTier) }
      if hasDecoderModel, try reader.flag() { try reader.skip(2 * delayBits + 1) }
      if hasInitialDelay, try reader.flag() { try reader.skip(4) }
    }
  }

  private static func skipTools(_ reader: inout BitReader, reduced: Bool) throws(ParseError) {
    if !reduced, try reader.flag() { try reader.skip(4 + 3) }
    try reader.skip(3)
    if !reduced {
      try reader.skip(4)
      let hasOrderHint = try reader.flag()
      if hasOrderHint { try reader.skip(2) }
      let choosesScreenContent = try reader.flag()
      let forcesScreenContent = choosesScreenContent ? true : try reader.flag()
      if forcesScreenContent, try !reader.flag() { try reader.skip(1) }
      if hasOrderHint { try reader.skip(3) }
    }
    try reader.skip(3)
  }

  /// color_config, §5.5.2.
  private mutating func colour(_ reader: inout BitReader) throws(ParseError) {
    let highDepth = try reader.flag()
    if profile == 2, highDepth { bitDepth = try reader.flag() ? 12 : 10 } else { bitDepth = highDepth ? 10 : 8 }
    isMonochrome = profile == 1 ? false : try reader.flag()
    var (primaries, transfer, matrix): (UInt32, UInt32, UInt32) = (2, 2, 2)
    if try reader.flag() { (primaries, transfer, matrix) = (try reader.bits(8), try reader.bits(8), try reader.bits(8)) }
    if isMonochrome { return try reader.skip(1) }
    if primaries == 1, transfer == 13, matrix == 0 {
      (subsamplingX, subsamplingY) = (false, false)
      return
    }
    try reader.skip(1)
    switch profile {
    case 0: break
    case 1: (subsamplingX, subsamplingY) = (false, false)
    default:
      subsamplingX = bitDepth == 12 ? try reader.flag() : true
      subsamplingY = bitDepth == 12 && subsamplingX ? try reader.flag() : false
    }
    if subsamplingX, subsamplingY { chromaSamplePosition = UInt8(try reader.bits(2)) }
  }

  /// `av01.0.04M.08` (AV1 in ISO BMFF §5, the mandatory fields).
  package var codecString: String {
    func twoDigits(_ value: UInt8) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "av01.\(profile).\(twoDigits(level))\(tier == 0 ? "M" : "H").\(twoDigits(bitDepth))"
  }

  /// The body of `av1C` (AV1 in ISO BMFF §2.3.3).
  /// - Parameter sequenceHeader: the whole OBU, which becomes configOBUs.
  package func write(sequenceHeader: Slice) -> Slice {
    var writer = ByteWriter(capacity: 4 + sequenceHeader.count)
    writer.u8(0x81)
    writer.u8(profile << 5 | level & 0x1f)
    let depth: UInt8 = (bitDepth > 8 ? 0x40 : 0) | (bitDepth == 12 ? 0x20 : 0) | (isMonochrome ? 0x10 : 0)
    let subsampling: UInt8 = (subsamplingX ? 0x08 : 0) | (subsamplingY ? 0x04 : 0)
    writer.u8(tier << 7 | depth | subsampling | chromaSamplePosition & 3)
    writer.u8(0)
    writer.append(sequenceHeader)
    return writer.slice
  }
}

extension TrackFormat {
  /// AV1 from the body of `av1C`. Without a sequence header in it the size is unknown until the first key frame.
  package static func av1(av1C: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    var reader = ByteReader(av1C.bytes)
    guard try reader.u8() == 0x81 else { throw .invalid("an av1C marker or version", at: 0) }
    let (first, second) = (try reader.u8(), try reader.u8())
    try reader.skip(1)
    var header: AV1SequenceHeader?
    var units = AV1.OBUs(av1C.dropFirst(4))
    while header == nil, let unit = try units.next() {
      if unit.type == AV1.OBUType.sequenceHeader { header = try AV1SequenceHeader(unit.payload) }
    }
    var format = TrackFormat(codec: .av1, timescale: timescale, configuration: av1C)
    if let header {
      (format.width, format.height, format.frameRate) = (header.width, header.height, header.frameRate)
      format.codecString = header.codecString
    } else {
      let depth = second & 0x40 == 0 ? "08" : second & 0x20 == 0 ? "10" : "12"
      let level = first & 0x1f
      format.codecString = "av01.\(first >> 5).\(level < 10 ? "0" : "")\(level)\(second & 0x80 == 0 ? "M" : "H").\(depth)"
    }
    return format
  }

  /// AV1 from a key frame that carries its sequence header in band; `nil` when it carries none.
  package static func av1(keyFrame: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat? {
    var units = AV1.OBUs(keyFrame)
    while let unit = try units.next() {
      guard unit.type == AV1.OBUType.sequenceHeader else { continue }
      return try av1(av1C: AV1SequenceHeader(unit.payload).write(sequenceHeader: unit.whole), timescale: timescale)
    }
    return nil
  }
}

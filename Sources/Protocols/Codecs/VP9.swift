package import MartletPrimitives

/// A VPCodecConfigurationRecord (VP codec ISO media file format binding §2.2): the body of `vpcC` behind the version
/// and flags of its full box, used by VP8 and VP9.
package struct VPConfiguration: Sendable, Equatable {
  package var profile: UInt8 = 0
  /// 10 × the level; 0 when unknown.
  package var level: UInt8 = 0
  package var bitDepth: UInt8 = 8
  /// 0 and 1 are 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
  package var chromaSubsampling: UInt8 = 1
  package var fullRange = false
  /// ISO/IEC 23001-8 colour primaries, transfer characteristics and matrix; 2 is unspecified.
  package var colour: (primaries: UInt8, transfer: UInt8, matrix: UInt8) = (2, 2, 2)

  package init() {}

  /// Accepts the record with and without the four bytes of the full box, since peers send both.
  package init(_ record: Slice) throws(ParseError) {
    var reader = ByteReader(record.bytes)
    if record.count >= 12, reader.peek(0) == 1, reader.peek(1) == 0, reader.peek(2) == 0, reader.peek(3) == 0 { try reader.skip(4) }
    profile = try reader.u8()
    level = try reader.u8()
    guard profile <= 3 else { throw .invalid("a VP profile", at: 0) }
    let depth = try reader.u8()
    (bitDepth, chromaSubsampling, fullRange) = (depth >> 4, depth >> 1 & 7, depth & 1 == 1)
    guard bitDepth == 8 || bitDepth == 10 || bitDepth == 12 else { throw .invalid("a VP bit depth", at: 2) }
    colour = (try reader.u8(), try reader.u8(), try reader.u8())
    try reader.skip(2)
  }

  package static func == (a: Self, b: Self) -> Bool { a.write() == b.write() }

  /// Eight bytes, without version and flags.
  package func write() -> Slice {
    let depth = bitDepth << 4 | (chromaSubsampling & 7) << 1 | (fullRange ? 1 : 0)
    return [profile, level, depth, colour.primaries, colour.transfer, colour.matrix, 0, 0]
  }

  /// `vp09.00.31.08`.
  package func codecString(_ codec: Codec) -> String {
    func twoDigits(_ value: UInt8) -> String { value < 10 ? "0\(value)" : "\(value)" }
    // Level 1 (10) is the least that a player accepts; an unknown level is announced as 4.1, enough for 1080p60.
    let announced = level == 0 ? 41 : level
    return "\(codec == .vp8 ? "vp08" : "vp09").\(twoDigits(profile)).\(twoDigits(announced)).\(twoDigits(bitDepth))"
  }
}

/// The uncompressed header of a VP9 key frame (VP9 bitstream specification §6.2), as far as the picture size.
package struct VP9KeyFrame: Sendable, Equatable {
  package var profile: UInt8 = 0
  package var bitDepth: UInt8 = 8
  package var chromaSubsampling: UInt8 = 1
  package var width = 0, height = 0

  /// `nil` when the frame is not a key frame.
  package init?(_ frame: Slice) throws(ParseError) {
    var reader = BitReader(frame.bytes)
    guard try reader.bits(2) == 2 else { throw .invalid("a VP9 frame marker", at: 0) }
    let (low, high) = (try reader.bits(1), try reader.bits(1))
    profile = UInt8(high << 1 | low)
    if profile == 3 { try reader.skip(1) }
    if try reader.flag() { return nil }
    guard try reader.bits(1) == 0 else { return nil }
    try reader.skip(2)
    guard try reader.bits(24) == 0x49_8342 else { throw .invalid("a VP9 sync code", at: 1) }
    if profile >= 2 { bitDepth = try reader.flag() ? 12 : 10 }
    let sRGB: UInt32 = 7
    if try reader.bits(3) != sRGB {
      try reader.skip(1)
      if profile & 1 == 1 {
        let (x, y) = (try reader.flag(), try reader.flag())
        chromaSubsampling = x ? (y ? 1 : 2) : 3
        try reader.skip(1)
      }
    } else {
      chromaSubsampling = 3
      if profile & 1 == 1 { try reader.skip(1) }
    }
    width = Int(try reader.bits(16)) + 1
    height = Int(try reader.bits(16)) + 1
  }
}

/// The header of a VP8 key frame (RFC 6386 §9.1).
package struct VP8KeyFrame: Sendable, Equatable {
  package var width: Int, height: Int

  /// `nil` when the frame is not a key frame.
  package init?(_ frame: Slice) throws(ParseError) {
    var reader = ByteReader(frame.bytes)
    guard try reader.u8() & 1 == 0 else { return nil }
    try reader.skip(2)
    guard try reader.u24() == 0x9d012a else { throw .invalid("a VP8 start code", at: 3) }
    width = Int(try reader.u16le() & 0x3fff)
    height = Int(try reader.u16le() & 0x3fff)
  }
}

extension TrackFormat {
  /// VP8 or VP9 from a VPCodecConfigurationRecord. The record has no size: `withSize(ofKeyFrame:)` adds it.
  package static func vpx(_ codec: Codec, vpcC: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    let record = try VPConfiguration(vpcC)
    return TrackFormat(
      codec: codec, timescale: timescale, configuration: record.write(), codecString: codec == .vp8 ? "vp8" : record.codecString(codec))
  }

  package static func vp9(vpcC: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat {
    try vpx(.vp9, vpcC: vpcC, timescale: timescale)
  }

  /// VP8 or VP9 from a key frame alone; `nil` when it is none.
  package static func vpx(_ codec: Codec, keyFrame: Slice, timescale: Int32 = 1000) throws(ParseError) -> TrackFormat? {
    var record = VPConfiguration()
    if codec == .vp9, let header = try VP9KeyFrame(keyFrame) {
      (record.profile, record.bitDepth, record.chromaSubsampling) = (header.profile, header.bitDepth, header.chromaSubsampling)
    }
    return try vpx(codec, vpcC: record.write(), timescale: timescale).withSize(ofKeyFrame: keyFrame)
  }

  /// The format with the picture size of a VP8 or VP9 key frame; `nil` when the frame is none.
  package func withSize(ofKeyFrame frame: Slice) throws(ParseError) -> TrackFormat? {
    var format = self
    if codec == .vp8 {
      guard let header = try VP8KeyFrame(frame) else { return nil }
      (format.width, format.height) = (header.width, header.height)
    } else {
      guard let header = try VP9KeyFrame(frame) else { return nil }
      (format.width, format.height) = (header.width, header.height)
    }
    return format
  }
}

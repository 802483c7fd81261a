internal import MartletCodecs
internal import MartletPrimitives

/// What the audio and video tags of Enhanced RTMP v2 share: packet types, modifiers, several tracks in one tag, FourCCs.
enum FLVEnhanced {
  enum Video {
    static let sequenceStart: UInt8 = 0, codedFrames: UInt8 = 1, sequenceEnd: UInt8 = 2, codedFramesX: UInt8 = 3
    static let metadata: UInt8 = 4, multitrack: UInt8 = 6
  }
  enum Audio {
    static let sequenceStart: UInt8 = 0, codedFrames: UInt8 = 1, sequenceEnd: UInt8 = 2
    static let multichannelConfiguration: UInt8 = 4, multitrack: UInt8 = 5
  }
  private static let modifier: UInt8 = 7

  /// Walks over ModEx blocks (nanosecond offsets and what may follow); answers the packet type behind them.
  static func skipModifiers(_ type: UInt8, _ reader: inout ByteReader) throws(ParseError) -> UInt8 {
    var type = type
    while type == modifier {
      var size = Int(try reader.u8()) + 1
      if size == 256 { size = Int(try reader.u16()) + 1 }
      try reader.skip(size)
      type = try reader.u8() & 0x0f
    }
    return type
  }

  /// FourCC and body of the tag's only track, or of track 0 of several; `nil` when track 0 is not among them.
  /// `type` becomes the inner packet type of a multitrack tag.
  static func firstTrack(
    _ type: inout UInt8, multitrack: UInt8, _ reader: inout ByteReader, _ body: Slice
  ) throws(ParseError) -> (fourCC: UInt32, body: Slice)? {
    guard type == multitrack else {
      let fourCC = try reader.u32()
      return (fourCC, body.dropFirst(reader.offset))
    }
    let kinds = try reader.u8()
    type = kinds & 0x0f
    let (oneTrack, manyCodecs): (UInt8, UInt8) = (0, 2)
    let kind = kinds >> 4
    guard kind <= manyCodecs else { throw .invalid("a multitrack type", at: reader.offset - 1) }
    var fourCC: UInt32 = 0
    if kind != manyCodecs { fourCC = try reader.u32() }
    while !reader.isAtEnd {
      if kind == manyCodecs { fourCC = try reader.u32() }
      let id = try reader.u8()
      let size = kind == oneTrack ? reader.remaining : Int(try reader.u24())
      let start = reader.offset
      try reader.skip(size)
      if id == 0 { return (fourCC, body.sub(start..<start + size)) }
    }
    return nil
  }

  static func videoCodec(_ fourCC: UInt32) -> Codec? { videoCodes.first { $0.1 == fourCC }?.0 }
  static func audioCodec(_ fourCC: UInt32) -> Codec? { audioCodes.first { $0.1 == fourCC }?.0 }
  static func fourCC(_ codec: Codec) -> UInt32? { (videoCodes + audioCodes).first { $0.0 == codec }?.1 }

  private static let videoCodes: [(Codec, UInt32)] = [
    (.h264, 0x6176_6331), (.hevc, 0x6876_6331), (.av1, 0x6176_3031), (.vp9, 0x7670_3039), (.vp8, 0x7670_3038),
  ]
  private static let audioCodes: [(Codec, UInt32)] = [(.opus, 0x4f70_7573), (.aac, 0x6d70_3461), (.mp3, 0x2e6d_7033)]

  /// A FourCC for a log line; what is not printable shows as `?`.
  static func name(_ fourCC: UInt32) -> String {
    let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: fourCC >> UInt32($0)) }
    return String(decoding: bytes.map { 0x20...0x7e ~= $0 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
  }
}

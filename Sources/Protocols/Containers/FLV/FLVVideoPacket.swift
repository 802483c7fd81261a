internal import MartletCodecs
internal import MartletPrimitives

/// What the head of a video tag body says, in the legacy form (FLV 10.1 §E.4.3) or that of Enhanced RTMP v1 and v2.
enum FLVVideoPacket {
  case ignored
  case unsupported(String)
  case sequenceStart(Codec, Slice)
  case sequenceEnd
  /// `compositionTime` in milliseconds, signed.
  case coded(Codec, isKey: Bool, compositionTime: Int64, Slice)

  init(_ body: Slice) throws(ParseError) {
    guard !body.isEmpty else {
      self = .ignored
      return
    }
    var reader = ByteReader(body.bytes)
    let first = try reader.u8()
    self =
      first & 0x80 == 0
      ? try FLVVideoPacket.legacy(first, &reader, body) : try FLVVideoPacket.enhanced(first, &reader, body)
  }

  private static func legacy(_ first: UInt8, _ reader: inout ByteReader, _ body: Slice) throws(ParseError) -> FLVVideoPacket {
    let frameType = first >> 4
    if frameType == commandFrame { return .ignored }
    let codec: Codec
    switch first & 0x0f {
    case 7: codec = .h264
    case 12: codec = .hevc  // Not in the specification, but what many encoders wrote before Enhanced RTMP.
    case 2: return .unsupported("Sorenson H.263")
    case 3, 6: return .unsupported("Screen video")
    case 4, 5: return .unsupported("VP6")
    case let id: return .unsupported("video codec \(id)")
    }
    let packetType = try reader.u8()
    let compositionTime = signed24(try reader.u24())
    let rest = body.dropFirst(reader.offset)
    switch packetType {
    case 0: return rest.isEmpty ? .ignored : .sequenceStart(codec, rest)
    case 1: return rest.isEmpty ? .ignored : .coded(codec, isKey: frameType == keyFrame, compositionTime: compositionTime, rest)
    case 2: return .sequenceEnd
    default: return .ignored
    }
  }

  private static func enhanced(_ first: UInt8, _ reader: inout ByteReader, _ body: Slice) throws(ParseError) -> FLVVideoPacket {
    let frameType = first >> 4 & 7
    var type = try FLVEnhanced.skipModifiers(first & 0x0f, &reader)
    if type == FLVEnhanced.Video.metadata || frameType == commandFrame { return .ignored }
    guard
      let track = try FLVEnhanced.firstTrack(&type, multitrack: FLVEnhanced.Video.multitrack, &reader, body)
    else { return .ignored }
    guard let codec = FLVEnhanced.videoCodec(track.fourCC) else { return .unsupported(FLVEnhanced.name(track.fourCC)) }
    var compositionTime: Int64 = 0
    var rest = track.body
    switch type {
    case FLVEnhanced.Video.sequenceStart: return rest.isEmpty ? .ignored : .sequenceStart(codec, rest)
    case FLVEnhanced.Video.sequenceEnd: return .sequenceEnd
    case FLVEnhanced.Video.codedFrames, FLVEnhanced.Video.codedFramesX:
      if type == FLVEnhanced.Video.codedFrames, codec == .h264 || codec == .hevc {
        var head = ByteReader(rest.bytes)
        compositionTime = signed24(try head.u24())
        rest = rest.dropFirst(3)
      }
      return rest.isEmpty ? .ignored : .coded(codec, isKey: frameType == keyFrame, compositionTime: compositionTime, rest)
    default: return .ignored
    }
  }

  private static let keyFrame: UInt8 = 1, commandFrame: UInt8 = 5

  private static func signed24(_ value: UInt32) -> Int64 { Int64(Int32(bitPattern: value << 8) >> 8) }
}

package import MartletCodecs
internal import MartletPrimitives

extension Codec {
  /// Whether a viewer can be switched to a stream with this RTP payload: the first packet of a key frame or of its parameter
  /// sets. Reads a few bytes and holds no state; for forwarding without depacketizing. Audio can be joined anywhere.
  package func isKeyFrameStart(_ payload: RawSpan) -> Bool {
    switch self {
    case .h264: NALKeyFrame(syntax: .h264).starts(payload)
    case .hevc: NALKeyFrame(syntax: .hevc).starts(payload)
    case .vp8:
      VP8Assembler().beginsUnit(payload) && Codec.vp8FrameByte(payload).map { $0 & 1 == 0 } ?? false
    case .vp9: Codec.vp9Descriptor(payload)?.isKeyFrameStart ?? false
    case .av1: AV1Assembler().beginsUnit(payload)
    case .opus, .g711a, .g711u, .g722, .aac, .mp3, .data: !payload.isEmpty
    }
  }

  private static func vp8FrameByte(_ payload: RawSpan) -> UInt8? {
    var reader = ByteReader(payload)
    guard (try? VP8Descriptor(&reader)) != nil else { return nil }
    return reader.peek()
  }

  private static func vp9Descriptor(_ payload: RawSpan) -> VP9Descriptor? {
    var reader = ByteReader(payload)
    return try? VP9Descriptor(&reader)
  }
}

private struct NALKeyFrame {
  let syntax: NALSyntax

  func starts(_ payload: RawSpan) -> Bool {
    guard let first = payload.byte(at: 0) else { return false }
    let type = syntax.type(first)
    switch type {
    case syntax.aggregationType: return aggregateStarts(payload)
    case syntax.fragmentType:
      guard let header = payload.byte(at: syntax.headerSize), header & 0x80 != 0 else { return false }
      return starts(header & (syntax == .h264 ? 0x1f : 0x3f), payload.byte(at: syntax.headerSize + 1))
    default: return starts(type, payload.byte(at: syntax.headerSize))
    }
  }

  private func aggregateStarts(_ payload: RawSpan) -> Bool {
    var offset = syntax.headerSize
    while let length = try? NALLength.read(payload, at: offset) {
      if let first = payload.byte(at: offset + 2), length > syntax.headerSize {
        if starts(syntax.type(first), payload.byte(at: offset + 2 + syntax.headerSize)) { return true }
      }
      offset += 2 + length
    }
    return false
  }

  /// A sequence (or video) parameter set, or the first slice of a key picture: the first bit of a slice is first_mb_in_slice = 0
  /// as an Exp-Golomb code in H.264, and first_slice_segment_in_pic_flag in HEVC.
  private func starts(_ type: UInt8, _ firstOfBody: UInt8?) -> Bool {
    if syntax == .h264 ? type == 7 : type == 32 || type == 33 { return true }
    return syntax.isRandomAccess(type) && firstOfBody.map { $0 & 0x80 != 0 } ?? false
  }
}

package import MartletCodecs
package import MartletPrimitives

/// Formats and frames as bodies of RTMP messages and FLV tags. H.264, AAC, MP3 and G.711 go in the legacy form that every
/// player reads, HEVC, AV1, VP8, VP9 and Opus in that of Enhanced RTMP. Payloads are never copied.
package enum FLVMuxer {
  /// G.722 has neither a number nor a FourCC.
  package static func carries(_ codec: Codec) -> Bool { codec != .g722 }

  /// The body that announces a format; `nil` for codecs that need none (MP3, G.711) or that FLV cannot carry.
  package static func sequenceHeader(_ format: TrackFormat) -> [UInt8]? {
    switch format.codec {
    case .h264: return [0x17, 0, 0, 0, 0] + format.configuration.array
    case .aac: return [0xaf, 0] + format.configuration.array
    case .hevc, .av1, .vp8, .vp9:
      return enhanced(0x80 | 1 << 4 | FLVEnhanced.Video.sequenceStart, format.codec) + format.configuration.array
    case .opus:
      let magic = Array("OpusHead".utf8)
      return enhanced(9 << 4 | FLVEnhanced.Audio.sequenceStart, .opus) + magic + format.configuration.array
    case .mp3, .g711a, .g711u, .g722, .data: return nil
    }
  }

  /// The body of a frame in two parts: at most 8 bytes of header, and the frame's own payload, shared.
  package static func body(_ frame: Frame, _ format: TrackFormat) -> (header: [UInt8], payload: Slice) {
    (header(frame, format), frame.payload)
  }

  /// Milliseconds of the frame's decode time, as the tag or message carries them: 32 bits that wrap.
  package static func timestamp(_ frame: Frame, _ format: TrackFormat) -> UInt32 {
    UInt32(truncatingIfNeeded: MediaTime.rescale(frame.dts, from: format.timescale, to: 1000))
  }

  /// The type of the tag that carries a track of this format.
  package static func tagKind(_ format: TrackFormat) -> FLVTag.Kind {
    switch format.kind {
    case .video: .video
    case .audio: .audio
    case .data: .script
    }
  }

  private static func header(_ frame: Frame, _ format: TrackFormat) -> [UInt8] {
    let frameType: UInt8 = frame.isKey ? 1 : 2
    switch format.codec {
    case .h264:
      let time = compositionTime(frame, format)
      return [
        frameType << 4 | 7, 1, UInt8(truncatingIfNeeded: time >> 16), UInt8(truncatingIfNeeded: time >> 8), UInt8(truncatingIfNeeded: time),
      ]
    case .hevc:
      let time = compositionTime(frame, format)
      if time == 0 { return enhanced(0x80 | frameType << 4 | FLVEnhanced.Video.codedFramesX, .hevc) }
      return enhanced(0x80 | frameType << 4 | FLVEnhanced.Video.codedFrames, .hevc)
        + [16, 8, 0].map { UInt8(truncatingIfNeeded: time >> $0) }
    case .av1, .vp8, .vp9: return enhanced(0x80 | frameType << 4 | FLVEnhanced.Video.codedFrames, format.codec)
    case .aac: return [0xaf, 1]
    case .opus: return enhanced(9 << 4 | FLVEnhanced.Audio.codedFrames, .opus)
    case .mp3: return [legacyAudio(format)]
    case .g711a: return [0x72 | (format.channels == 2 ? 1 : 0)]
    case .g711u: return [0x82 | (format.channels == 2 ? 1 : 0)]
    case .g722, .data: return []
    }
  }

  private static func legacyAudio(_ format: TrackFormat) -> UInt8 {
    let stereo: UInt8 = format.channels == 2 ? 1 : 0
    if format.sampleRate == 8000 { return 14 << 4 | 2 | stereo }
    let rate: UInt8 = format.sampleRate >= 32000 ? 3 : format.sampleRate >= 16000 ? 2 : 1
    return 2 << 4 | rate << 2 | 2 | stereo
  }

  private static func enhanced(_ first: UInt8, _ codec: Codec) -> [UInt8] {
    let code = FLVEnhanced.fourCC(codec) ?? 0
    return [first] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: code >> UInt32($0)) }
  }

  /// In milliseconds, clamped to the signed 24 bits of the field.
  private static func compositionTime(_ frame: Frame, _ format: TrackFormat) -> Int32 {
    if frame.pts == frame.dts { return 0 }
    let presentation = MediaTime.rescale(frame.pts, from: format.timescale, to: 1000)
    let decode = MediaTime.rescale(frame.dts, from: format.timescale, to: 1000)
    return Int32(min(max(presentation &- decode, -0x80_0000), 0x7f_ffff))
  }
}

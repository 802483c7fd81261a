package import MartletCodecs
internal import MartletContainers
package import MartletPrimitives
package import MartletRTMP

/// The `onMetaData` message that tells players of RTMP and FLV what the stream is.
package enum FLVMetadata {
  package static func message(_ formats: [TrackFormat]) -> Slice {
    Slice(AMF0.encode([.string("onMetaData"), .ecmaArray(properties(formats))]))
  }

  package static func properties(_ formats: [TrackFormat]) -> [AMFProperty] {
    var properties: [AMFProperty] = []
    if let video = formats.first(where: { $0.kind == .video }) {
      properties += [
        AMFProperty("width", .number(Double(video.width))), AMFProperty("height", .number(Double(video.height))),
        AMFProperty("videocodecid", .number(codecID(video.codec))),
      ]
      if video.frameRate > 0 { properties.append(AMFProperty("framerate", .number(video.frameRate))) }
    }
    if let audio = formats.first(where: { $0.kind == .audio && FLVMuxer.carries($0.codec) }) {
      properties += [
        AMFProperty("audiocodecid", .number(codecID(audio.codec))), AMFProperty("audiosamplerate", .number(Double(audio.sampleRate))),
        AMFProperty("audiosamplesize", .number(16)), AMFProperty("stereo", .boolean(audio.channels > 1)),
      ]
    }
    properties.append(AMFProperty("encoder", .string("Martlet")))
    return properties
  }

  /// The FLV codec number, or the FourCC as a number for those that have none (Enhanced RTMP v2, "Metadata Frame").
  private static func codecID(_ codec: Codec) -> Double {
    let fourCC = { (text: String) in Double(text.utf8.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }) }
    return switch codec {
    case .h264: 7
    case .hevc: fourCC("hvc1")
    case .av1: fourCC("av01")
    case .vp8: fourCC("vp08")
    case .vp9: fourCC("vp09")
    case .aac: 10
    case .mp3: 2
    case .g711a: 7
    case .g711u: 8
    case .opus: fourCC("Opus")
    case .g722, .data: 0
    }
  }
}

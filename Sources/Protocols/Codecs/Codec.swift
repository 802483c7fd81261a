/// What a track is encoded with. The names are those of the field; `description` is for people and the REST API.
package enum Codec: String, Sendable, CaseIterable, CustomStringConvertible {
  case h264 = "H264", hevc = "HEVC", av1 = "AV1", vp8 = "VP8", vp9 = "VP9"
  case aac = "AAC", mp3 = "MP3", opus = "Opus", g711a = "PCMA", g711u = "PCMU", g722 = "G722"
  /// RTMP data messages, captions, ID3: carried with media time, opaque to the hub.
  case data = "data"

  package var kind: MediaKind {
    switch self {
    case .h264, .hevc, .av1, .vp8, .vp9: .video
    case .aac, .mp3, .opus, .g711a, .g711u, .g722: .audio
    case .data: .data
    }
  }

  package var description: String { rawValue }
}

package enum MediaKind: String, Sendable { case video, audio, data }

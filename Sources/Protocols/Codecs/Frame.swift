package import MartletPrimitives

/// One access unit or audio frame of a track.
package struct Frame: Sendable {
  /// Which track of the stream, an index into its formats.
  package var track: UInt8
  /// Decode time in ticks of the track's clock, unwrapped, on the stream's own time line (never rebased per viewer).
  package var dts: Int64
  /// Presentation time, same clock. Larger than `dts` where the encoder reorders (B-frames).
  package var pts: Int64
  /// Decoding can start here. Always true for audio and data.
  package var isKey: Bool
  /// Video: NAL units each behind a 4-byte big-endian length (H.264, HEVC), OBUs without temporal delimiters (AV1),
  /// or the raw frame (VP8, VP9). Audio: one raw frame (AAC without ADTS). Data: the message as it came (AMF0 for RTMP).
  package var payload: Slice

  package init(track: UInt8, dts: Int64, pts: Int64, isKey: Bool, payload: Slice) {
    self.track = track
    self.dts = dts
    self.pts = pts
    self.isKey = isKey
    self.payload = payload
  }
}

/// What a decoder must know before the first frame. A change of it mid-stream is a normal event.
package struct TrackFormat: Sendable, Equatable {
  package var codec: Codec
  /// Ticks a second of `Frame.dts` and `pts`. FLV and RTMP deliver video in 1,000 and audio in its sample rate.
  package var timescale: Int32
  /// The decoder configuration as ISO BMFF stores it: the body of `avcC`, `hvcC`, `av1C`, `vpcC`, an AAC
  /// AudioSpecificConfig, an `OpusHead` without its magic; empty for MP3, G.711 and data.
  package var configuration: Slice
  /// Video only, else 0: display size in pixels.
  package var width = 0, height = 0
  /// Video only: frames a second when the stream says so, else 0.
  package var frameRate = 0.0
  /// Audio only, else 0.
  package var sampleRate = 0, channels = 0
  /// RFC 6381 name for `CODECS=` and Media Source Extensions: `avc1.64001f`, `mp4a.40.2`, `hvc1.1.6.L93.B0`, `opus`.
  package var codecString: String

  package var kind: MediaKind { codec.kind }

  package init(codec: Codec, timescale: Int32, configuration: Slice = Slice(), codecString: String = "") {
    self.codec = codec
    self.timescale = timescale
    self.configuration = configuration
    self.codecString = codecString
  }
}

package import MartletCodecs

/// In which codecs an output wants a stream. What the publisher sends is passed on wherever it will do; a track is transcoded once for
/// all who need it, and only while somebody does.
package enum Rendition: Hashable, Sendable {
  /// As it is published.
  case original
  /// For players of RTMP, FLV, MPEG-TS and HLS: what browsers and phones send by WebRTC as H.264 and AAC.
  case broadcast
  /// For WebRTC: sound in Opus, pictures in the order in which they are shown.
  case realtime
  /// The same for browsers without HEVC, whose pictures are then H.264.
  case compatible
}

/// What the hub is told of a track when it asks for a transcoder.
package struct TranscodeRequest: Sendable {
  package let path: StreamPath
  package let format: TrackFormat
  package let target: Codec
}

/// One track being made into another codec, on a thread of its own.
package protocol TrackTranscoder: AnyObject {
  func send(_ frame: Frame)
  func requestKeyFrame()
  func stop()
}

/// What comes of it, in order.
package enum TrackTranscoderOutput: Sendable {
  /// Before the first frame, and when it changes.
  case format(TrackFormat)
  case frames([Frame])
  case keyFrameNeeded
  /// For the log; the stream goes on without the track.
  case failed(String)
}

extension Rendition {
  /// The codec that a track has to be made into; `nil` when it passes.
  /// - Parameters:
  ///   - isRealtime: the publisher's protocol is WebRTC, whose codecs others need not know.
  ///   - isReordered: its pictures are not sent in the order in which they are shown (B-frames).
  internal func target(of format: TrackFormat, isRealtime: Bool, isReordered: Bool) -> Codec? {
    switch (self, format.codec) {
    case (.broadcast, .opus), (.broadcast, .g711a), (.broadcast, .g711u), (.broadcast, .g722): isRealtime ? .aac : nil
    case (.broadcast, .vp8), (.broadcast, .vp9), (.broadcast, .av1): isRealtime ? .h264 : nil
    case (.realtime, .aac), (.realtime, .mp3), (.compatible, .aac), (.compatible, .mp3): .opus
    case (.compatible, .hevc): .h264
    case (.realtime, .h264), (.realtime, .hevc), (.compatible, .h264): isReordered ? .h264 : nil
    default: nil
    }
  }
}

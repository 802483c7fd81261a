#if Transcoding
  package import MartletCodecs
  package import MartletPrimitives
  internal import Synchronization

  /// One video track as H.264 without B-frames, which is what WebRTC, RTMP and every player take: from VP8, VP9, AV1, HEVC,
  /// and from H.264 itself where it is reordered. Each picture keeps its presentation time, which becomes its decode time too.
  ///
  /// Works on a thread of its own, behind a queue that drops up to the next key frame. When the size of the pictures changes,
  /// the encoder is set up anew, with a new format and a key frame.
  package final class VideoTranscoder: Sendable {
    package struct Configuration: Sendable {
      /// Bits a second; `nil` for one that suits the size of the pictures.
      package var bitrate: Int?
      /// At most between key frames.
      package var keyFrameInterval = TimeSpan.seconds(2)
      package var limits = TranscoderLimits()
      package init() {}
    }

    /// Set from any thread and taken by the pipeline.
    internal final class KeyFrameRequest: Sendable {
      private let isSet = Atomic<Bool>(false)
      internal func set() { isSet.store(true, ordering: .relaxed) }
      internal func take() -> Bool { isSet.exchange(false, ordering: .relaxed) }
    }

    private let thread: TranscodingThread
    private let keyFrameRequest: KeyFrameRequest

    /// Cheap: codecs are opened on the thread, with the first frame.
    /// - Parameter deliver: runs on the thread and must not wait for the caller of `stop`.
    /// - Throws: when FFmpeg lacks the decoder or the encoder.
    package init(
      from format: TrackFormat, _ configuration: Configuration = Configuration(), deliver: @escaping @Sendable (TranscoderOutput) -> Void
    ) throws(FFmpegError) {
      guard format.kind == .video, Decoder.decoder(of: format.codec) != nil else {
        throw FFmpegError("FFmpeg has no decoder for \(format.codec) as pictures")
      }
      guard VideoEncoder.isAvailable else { throw FFmpegError("FFmpeg has no encoder libx264") }
      let request = KeyFrameRequest()
      keyFrameRequest = request
      thread = TranscodingThread(.video, configuration.limits, deliver: deliver) { VideoPipeline(configuration, request) }
      thread.setFormat(format)
    }

    deinit { thread.stop() }

    /// What came in, what went out and what was lost.
    package var statistics: TranscoderStatistics { thread.statistics }

    /// From any thread; never waits. Nothing comes out before the first key frame.
    package func send(_ frame: Frame) { thread.send(frame) }

    /// The source changed: frames that follow, from a key frame on, are in `format`.
    package func setFormat(_ format: TrackFormat) { thread.setFormat(format) }

    /// The next picture becomes a key frame. Requests within a quarter of a second of one wait that long.
    package func requestKeyFrame() { keyFrameRequest.set() }

    /// The source has ended: what the codecs hold is delivered, then `.ended`. What is sent later is dropped.
    package func finish() { thread.finish() }

    /// Ends the work without waiting. At most the output that is being delivered still comes. Also done when the transcoder
    /// is let go of.
    package func stop() { thread.stop() }
  }
#endif

#if Transcoding
  package import MartletCodecs

  /// One audio track in another codec: anything to Opus for WebRTC, Opus and G.711 to AAC-LC for everything else. Both at
  /// 48 kHz, mono or stereo as the source; more channels are mixed down to two.
  ///
  /// Works on a thread of its own, behind a queue that drops the oldest. `Frame.pts` counts; a frame's samples go to its
  /// time, with silence before them where up to a second is missing. Behind a longer gap, or a jump back, times begin anew.
  package final class AudioTranscoder: Sendable {
    package struct Configuration: Sendable {
      /// Bits a second; `nil` is 64,000 a channel.
      package var bitrate: Int?
      package var limits = TranscoderLimits()
      package init() {}
    }

    private let thread: TranscodingThread

    /// Cheap: codecs are opened on the thread, with the first frame.
    /// - Parameters:
    ///   - target: `.opus` or `.aac`.
    ///   - deliver: runs on the thread and must not wait for the caller of `stop`.
    /// - Throws: when FFmpeg lacks the decoder or the encoder.
    package init(
      from format: TrackFormat, to target: Codec, _ configuration: Configuration = Configuration(),
      deliver: @escaping @Sendable (TranscoderOutput) -> Void
    ) throws(FFmpegError) {
      guard format.kind == .audio, Decoder.decoder(of: format.codec) != nil else {
        throw FFmpegError("FFmpeg has no decoder for \(format.codec) as sound")
      }
      guard target == .opus || target == .aac, AudioEncoder.isAvailable(target) else {
        throw FFmpegError("FFmpeg has no encoder for \(target); Opus and AAC can be made")
      }
      thread = TranscodingThread(.audio, configuration.limits, deliver: deliver) { AudioPipeline(to: target, configuration) }
      thread.setFormat(format)
    }

    deinit { thread.stop() }

    /// What came in, what went out and what was lost.
    package var statistics: TranscoderStatistics { thread.statistics }

    /// From any thread; never waits.
    package func send(_ frame: Frame) { thread.send(frame) }

    /// The source changed: frames that follow are in `format`.
    package func setFormat(_ format: TrackFormat) { thread.setFormat(format) }

    /// The source has ended: what the codecs hold is delivered, then `.ended`. What is sent later is dropped.
    package func finish() { thread.finish() }

    /// Ends the work without waiting. At most the output that is being delivered still comes. Also done when the transcoder
    /// is let go of.
    package func stop() { thread.stop() }
  }
#endif

#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs
  internal import MartletPrimitives

  /// An Opus or AAC encoder that takes samples in any number and cuts them into the codec's frames.
  internal final class AudioEncoder {
    /// Opus plays at no other rate, and for AAC it keeps both directions free of resampling.
    internal static let rate = 48_000

    internal let format: TrackFormat
    internal let channels: Int32
    private let encoder: Encoder
    /// Samples in the encoder's frame.
    private var filled = 0
    /// Of the first of them.
    private var start: Int64

    /// - Parameters:
    ///   - codec: `.opus` or `.aac`.
    ///   - channels: 1 or 2.
    ///   - bitrate: bits a second.
    ///   - time: of the first sample, in samples.
    internal init(_ codec: Codec, channels: Int32, bitrate: Int, at time: Int64) throws(FFmpegError) {
      self.channels = channels
      start = time
      encoder = try Encoder(codec == .opus ? "libopus" : "aac", options: codec == .opus ? Self.opusOptions : [:]) { context in
        context.sample_fmt = codec == .opus ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP
        context.sample_rate = Int32(Self.rate)
        context.bit_rate = Int64(bitrate)
        context.time_base = AVRational(num: 1, den: Int32(Self.rate))
        context.thread_count = 1
        av_channel_layout_default(&context.ch_layout, channels)
      }
      try encoder.allocateAudio(sampleRate: Self.rate)
      do throws(ParseError) {
        format = codec == .opus ? try .opus(Slice(encoder.extradata)) : try .aac(Slice(encoder.extradata))
      } catch { throw FFmpegError("the \(codec) encoder's configuration: \(error)") }
    }

    internal static func isAvailable(_ codec: Codec) -> Bool { avcodec_find_encoder_by_name(codec == .opus ? "libopus" : "aac") != nil }

    /// libopus writes redundancy only for a loss it is told to expect. From 9 % on it would code music as speech.
    private static let opusOptions: KeyValuePairs = [
      "application": "audio", "frame_duration": "20", "vbr": "constrained", "fec": "1", "packet_loss": "5",
    ]

    /// Where the next sample goes.
    internal var end: Int64 { start &+ Int64(filled) }
    /// The form of the samples that `write` takes.
    internal var template: UnsafeMutablePointer<AVFrame> { encoder.frame }

    /// - Parameter samples: in the form of `template`.
    internal func write(_ samples: UnsafeMutablePointer<AVFrame>, count: Int32) throws(FFmpegError) -> [Encoder.Packet] {
      var packets: [Encoder.Packet] = []
      var (position, left) = (0, Int(count))
      while left > 0 {
        if filled == 0 { try encoder.makeWritable() }
        let size = min(left, encoder.frameSize - filled)
        try FFmpegError.check(
          "copy samples",
          av_samples_copy(
            encoder.frame.pointee.extended_data, samples.pointee.extended_data, Int32(filled), Int32(position), Int32(size), channels,
            AVSampleFormat(encoder.frame.pointee.format)))
        filled += size
        position += size
        left -= size
        if filled == encoder.frameSize { packets += try encodeFrame() }
      }
      return packets
    }

    /// Ends the last frame with silence and makes the encoder give up what it holds back. It takes no further sample.
    internal func finish() throws(FFmpegError) -> [Encoder.Packet] {
      var packets: [Encoder.Packet] = []
      if filled > 0 {
        av_samples_set_silence(
          encoder.frame.pointee.extended_data, Int32(filled), Int32(encoder.frameSize - filled), channels,
          AVSampleFormat(encoder.frame.pointee.format))
        packets = try encodeFrame()
      }
      return try packets + encoder.end()
    }

    private func encodeFrame() throws(FFmpegError) -> [Encoder.Packet] {
      let packets = try encoder.encode(pts: start)
      start &+= Int64(encoder.frameSize)
      filled = 0
      return packets
    }
  }
#endif

#if Transcoding
  import CFFmpeg
  import Glibc
  import MartletCodecs
  import MartletPrimitives

  /// A tone that begins at `onset`, encoded: the first channel carries it, each further one a higher harmonic.
  struct SoundSource {
    let format: TrackFormat
    let frames: [Frame]

    /// - Parameters:
    ///   - onset, duration: seconds.
    ///   - period: seconds; the tone falls silent for the second half of each.
    ///   - start: time of the first sample, in samples.
    init(
      _ codec: Codec, rate: Int, channels: Int = 1, onset: Double = 0, period: Double = .infinity, duration: Double = 2, start: Int64 = 0
    ) throws {
      let name =
        switch codec {
        case .aac: "aac"
        case .opus: "libopus"
        case .mp3: "libmp3lame"
        case .g711a: "pcm_alaw"
        case .g722: "g722"
        default: "pcm_mulaw"
        }
      let encoder = try TestEncoder(name) { context in
        context.sample_fmt = codec == .aac || codec == .mp3 ? AV_SAMPLE_FMT_FLTP : codec == .opus ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_S16
        context.sample_rate = Int32(rate)
        context.bit_rate = 96_000
        context.time_base = AVRational(num: 1, den: Int32(rate))
        av_channel_layout_default(&context.ch_layout, Int32(channels))
      }
      switch codec {
      case .aac: format = try .aac(encoder.extradata)
      case .opus: format = try .opus(encoder.extradata)
      case .mp3: format = .mp3(sampleRate: rate, channels: channels)
      case .g722: format = .g722
      default: format = .g711(codec, sampleRate: rate, channels: channels)
      }
      let size = encoder.context.pointee.frame_size > 0 ? Int(encoder.context.pointee.frame_size) : rate / 50
      encoder.frame.pointee.format = encoder.context.pointee.sample_fmt.rawValue
      encoder.frame.pointee.sample_rate = Int32(rate)
      encoder.frame.pointee.nb_samples = Int32(size)
      av_channel_layout_copy(&encoder.frame.pointee.ch_layout, &encoder.context.pointee.ch_layout)
      av_frame_get_buffer(encoder.frame, 0)
      var frames: [Frame] = []
      var sample = 0
      while sample < Int(duration * Double(rate)) {
        av_frame_make_writable(encoder.frame)
        for index in 0..<size {
          for channel in 0..<channels {
            let time = Double(sample + index) / Double(rate)
            let isSilent = time < onset || (time - onset).truncatingRemainder(dividingBy: period) > period / 2
            let value = isSilent ? 0 : 0.5 * sin((time - onset) * 2 * .pi * 440 * Double(channel + 1))
            Self.put(value, at: index, channel, of: channels, into: encoder.frame)
          }
        }
        frames += encoder.encode(pts: Int64(sample))
        sample += size
      }
      frames += encoder.encode(pts: nil)
      // Ticks are samples, but those of G.722 (RFC 3551 §4.5.2).
      let ticks = Int64(format.timescale)
      self.frames = frames.map { frame in
        let time = (frame.pts + start) * ticks / Int64(rate)
        return Frame(track: 3, dts: time, pts: time, isKey: true, payload: frame.payload)
      }
    }

    private static func put(_ value: Double, at index: Int, _ channel: Int, of channels: Int, into frame: UnsafeMutablePointer<AVFrame>) {
      let planar = frame.pointee.format == AV_SAMPLE_FMT_FLTP.rawValue
      guard let plane = frame.pointee.extended_data[planar ? channel : 0] else { return }
      let raw = UnsafeMutableRawPointer(plane)
      let place = planar ? index : index * channels + channel
      if frame.pointee.format == AV_SAMPLE_FMT_S16.rawValue {
        raw.storeBytes(of: Int16(value * 32_767), toByteOffset: place * 2, as: Int16.self)
      } else {
        raw.storeBytes(of: Float(value), toByteOffset: place * 4, as: Float.self)
      }
    }
  }
#endif

#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs

  /// Decoder, resampler and encoder of one audio track. The last two are made for the first samples, since only those say
  /// for certain how many channels there are (HE-AAC) and at which rate.
  internal final class AudioPipeline: TranscodingPipeline {
    internal var output = TranscoderBatch()
    internal var damaged: Int { faults.count }

    private let target: Codec
    private let configuration: AudioTranscoder.Configuration
    private var source: TrackFormat?
    private var track: UInt8 = 0
    private var faults: DecodingFaults
    private var decoder: Decoder?
    private var resampler: Resampler?
    private var encoder: AudioEncoder?
    private var announced: TrackFormat?
    private var timeline = AudioTimeline(rate: AudioEncoder.rate)

    internal init(to target: Codec, _ configuration: AudioTranscoder.Configuration) {
      self.target = target
      self.configuration = configuration
      faults = DecodingFaults(limit: configuration.limits.failuresInARow)
    }

    internal func setFormat(_ format: TrackFormat) {
      guard format != source || decoder == nil else { return }
      source = format
      faults.beginFormat()
      do throws(FFmpegError) { decoder = try Decoder(format, configuration.limits) } catch { fail(error) }
    }

    internal func transcode(_ frame: Frame) {
      guard let decoder, let source else { return }
      track = frame.track
      do throws(FFmpegError) {
        try decoder.decode(frame) {
          faults.noteSuccess()
          guard self.decoder === decoder else { return }
          let time = decoder.time.map { MediaTime.rescale($0, from: source.timescale, to: Int32(AudioEncoder.rate)) }
          do throws(FFmpegError) { try take(decoder.frame, at: time) } catch { fail(error) }
        }
      } catch { note(error) }
    }

    internal func sourceHasGap() {}

    internal func finish() {
      do throws(FFmpegError) { try endEncoder() } catch { fail(error) }
      decoder = nil
    }

    private func note(_ error: FFmpegError) {
      guard let report = faults.note(error) else { return }
      output.append(report)
      if case .failed = report { decoder = nil }
    }

    private func fail(_ error: FFmpegError) {
      decoder = nil
      output.append(.failed("\(error)"))
    }

    /// - Parameter time: of the first sample, at the encoder's rate; `nil` right behind the last.
    private func take(_ samples: UnsafeMutablePointer<AVFrame>, at time: Int64?) throws(FFmpegError) {
      let shape = SampleShape(samples)
      guard samples.pointee.nb_samples > 0 else { return }
      guard shape.isPlausible else { throw FFmpegError("sound of \(shape.channels) channels at \(shape.rate) Hz") }
      let encoder = try encoder(for: shape, at: time ?? 0)
      let resampler = try resampler(for: samples, encoder)
      let write = { (made: Int32) throws(FFmpegError) in self.emit(try encoder.write(resampler.result, count: made)) }
      let inSource = { (count: Int) in count * Int(shape.rate) / AudioEncoder.rate }
      let expected = encoder.end &+ resampler.delay
      switch timeline.place(at: time ?? expected, expected: expected) {
      case .follow: try resampler.convert(samples, write)
      case .stretch(let count):
        try resampler.stretch(by: count)
        try resampler.convert(samples, write)
      case .silence(let count):
        try resampler.convertSilence(inSource(count), write)
        try resampler.convert(samples, write)
      case .skip(let count): try resampler.convert(samples, from: inSource(count), write)
      case .restart:
        try endEncoder()
        try take(samples, at: time)
      }
    }

    private func encoder(for shape: SampleShape, at time: Int64) throws(FFmpegError) -> AudioEncoder {
      // What has more channels is mixed down: players of Opus and AAC at the other end have two.
      let channels = min(shape.channels, 2)
      if let encoder, encoder.channels == channels { return encoder }
      try endEncoder()
      let bitrate = configuration.bitrate ?? 64_000 * Int(channels)
      let made = try AudioEncoder(target, channels: channels, bitrate: bitrate, at: time)
      encoder = made
      if exchange(&announced, with: made.format) != made.format { output.append(.format(made.format)) }
      return made
    }

    private func resampler(
      for samples: UnsafeMutablePointer<AVFrame>, _ encoder: AudioEncoder
    ) throws(FFmpegError) -> Resampler {
      if let resampler, resampler.source == SampleShape(samples) { return resampler }
      if let resampler { try flush(resampler, encoder) }
      let made = try Resampler(from: samples, to: encoder.template)
      resampler = made
      return made
    }

    /// Everything that came before is put out, and the time line ends.
    private func endEncoder() throws(FFmpegError) {
      if let resampler, let encoder { try flush(resampler, encoder) }
      resampler = nil
      if let encoder { emit(try encoder.finish()) }
      encoder = nil
    }

    private func flush(_ resampler: Resampler, _ encoder: AudioEncoder) throws(FFmpegError) {
      try resampler.flush { made throws(FFmpegError) in emit(try encoder.write(resampler.result, count: made)) }
    }

    /// The encoder's times are those of what a decoder puts out: less by its delay than the times of the samples it was given.
    private func emit(_ packets: [Encoder.Packet]) {
      for packet in packets {
        output.append(Frame(track: track, dts: packet.pts, pts: packet.pts, isKey: true, payload: packet.bytes))
      }
    }
  }
#endif

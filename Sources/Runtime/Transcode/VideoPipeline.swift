#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs
  internal import MartletPrimitives

  /// Decoder and encoder of one video track.
  internal final class VideoPipeline: TranscodingPipeline {
    internal var output = TranscoderBatch()
    internal var damaged: Int { faults.count }

    private let configuration: VideoTranscoder.Configuration
    private let keyFrameRequest: VideoTranscoder.KeyFrameRequest
    private var source: TrackFormat?
    private var track: UInt8 = 0
    private var faults: DecodingFaults
    private var decoder: Decoder?
    private var encoder: VideoEncoder?
    private var clock: PictureClock?
    /// Times of pictures that the encoder has and not yet put out.
    private var times = Deque<Int64>()
    private var awaitsKey = true
    /// Frames since the source's last key frame that were of no use for want of one.
    private var missed = 0

    internal init(_ configuration: VideoTranscoder.Configuration, _ keyFrameRequest: VideoTranscoder.KeyFrameRequest) {
      self.configuration = configuration
      self.keyFrameRequest = keyFrameRequest
      faults = DecodingFaults(limit: configuration.limits.failuresInARow)
    }

    internal func setFormat(_ format: TrackFormat) {
      if let source, decoder != nil, source.needsSameDecoder(as: format) { return self.source = format }
      endDecoder()
      if source?.timescale != format.timescale { (clock, encoder) = (nil, nil) }
      source = format
      faults.beginFormat()
      do throws(FFmpegError) { decoder = try Decoder(format, configuration.limits) } catch { return fail(error) }
    }

    internal func transcode(_ frame: Frame) {
      guard let decoder else { return }
      track = frame.track
      if frame.isKey { (awaitsKey, missed) = (false, 0) }
      guard !awaitsKey else { return missKey() }
      decode(frame, decoder)
    }

    internal func sourceHasGap() {
      awaitsKey = true
      missKey()
    }

    internal func finish() {
      endDecoder()
      encoder = nil
    }

    /// - Parameter frame: `nil` for what the decoder has held back.
    private func decode(_ frame: Frame?, _ decoder: Decoder) {
      do throws(FFmpegError) {
        try decoder.decode(frame) {
          faults.noteSuccess()
          guard self.decoder === decoder else { return }
          do throws(FFmpegError) { try take(decoder) } catch { fail(error) }
        }
      } catch { note(error) }
    }

    /// The pictures that the decoder has held back for their order come out.
    private func endDecoder() {
      if let decoder { decode(nil, decoder) }
      decoder = nil
      awaitsKey = true
      missed = 0
    }

    private func note(_ error: FFmpegError) {
      missKey()
      guard let report = faults.note(error) else { return }
      output.append(report)
      if case .failed = report { decoder = nil }
    }

    private func fail(_ error: FFmpegError) {
      decoder = nil
      output.append(.failed("\(error)"))
    }

    /// Once a second or so: whoever is asked may lose the request.
    private func missKey() {
      if missed % 30 == 0 { output.append(.keyFrameNeeded) }
      missed += 1
    }

    private func take(_ decoder: Decoder) throws(FFmpegError) {
      guard let source, let time = decoder.time else { return }
      let picture = decoder.frame
      if picture.pointee.decode_error_flags != 0 { missKey() }
      var clock = clock ?? PictureClock(timescale: source.timescale, keyInterval: configuration.keyFrameInterval.seconds)
      let encoder = try encoder(for: picture, source, &clock)
      if keyFrameRequest.take() { clock.wantKey() }
      let tick = clock.advance(to: time)
      self.clock = clock
      guard let tick else { return }
      times.append(time)
      for packet in try encoder.encode(picture, tick) {
        guard let time = times.popFirst() else { return }
        output.append(
          Frame(track: track, dts: time, pts: time, isKey: packet.isKey, payload: AnnexB.lengthPrefixed(packet.bytes)))
      }
    }

    private func encoder(
      for picture: UnsafeMutablePointer<AVFrame>, _ source: TrackFormat, _ clock: inout PictureClock
    ) throws(FFmpegError) -> VideoEncoder {
      let shape = VideoEncoder.Shape(picture)
      if let encoder, encoder.shape == shape { return encoder }
      let made = try VideoEncoder(shape, source, bitrate: configuration.bitrate)
      encoder = made
      times.removeAll()
      clock.forceKey()
      output.append(.format(made.format))
      return made
    }
  }

  extension TrackFormat {
    /// Whether a decoder for one decodes the other: sizes and rates of pictures it finds in the stream.
    fileprivate func needsSameDecoder(as other: TrackFormat) -> Bool {
      codec == other.codec && configuration == other.configuration && timescale == other.timescale
    }
  }
#endif

#if Transcoding
  internal import CFFmpeg

  /// The form of decoded samples.
  internal struct SampleShape: Equatable {
    internal let format: Int32
    internal let rate: Int32
    internal let channels: Int32

    internal init(_ frame: UnsafeMutablePointer<AVFrame>) {
      format = frame.pointee.format
      rate = frame.pointee.sample_rate
      channels = frame.pointee.ch_layout.nb_channels
    }

    /// What decoders put out for real streams.
    internal var isPlausible: Bool { 4000...192_000 ~= rate && 1...24 ~= channels }
  }

  /// From what a decoder puts out to what an encoder takes: rate, channels, form of the samples.
  internal final class Resampler {
    internal let source: SampleShape
    private let rate: Int32
    private var context: OpaquePointer?
    /// What the last conversion made.
    internal let result: UnsafeMutablePointer<AVFrame>
    private let silence: UnsafeMutablePointer<AVFrame>
    /// Samples that `result` has room for, at the output's rate.
    private static let room: Int32 = 8192

    /// - Parameters:
    ///   - first: decoded samples; all that follow have their form.
    ///   - target: an encoder's frame.
    internal init(from first: UnsafeMutablePointer<AVFrame>, to target: UnsafeMutablePointer<AVFrame>) throws(FFmpegError) {
      guard let result = av_frame_alloc(), let silence = av_frame_alloc() else { throw FFmpegError("out of memory") }
      self.result = result
      self.silence = silence
      source = SampleShape(first)
      rate = target.pointee.sample_rate
      try FFmpegError.check(
        "set up the resampler",
        swr_alloc_set_opts2(
          &context, &target.pointee.ch_layout, AVSampleFormat(target.pointee.format), rate, &first.pointee.ch_layout,
          AVSampleFormat(source.format), source.rate, 0, nil))
      try Self.allocate(result, like: target, samples: Self.room)
      try Self.allocate(silence, like: first, samples: 1024)
      av_samples_set_silence(silence.pointee.extended_data, 0, 1024, source.channels, AVSampleFormat(source.format))
      try FFmpegError.check("set up the resampler", swr_init(context))
    }

    private static func allocate(
      _ frame: UnsafeMutablePointer<AVFrame>, like model: UnsafeMutablePointer<AVFrame>, samples: Int32
    ) throws(FFmpegError) {
      frame.pointee.format = model.pointee.format
      frame.pointee.sample_rate = model.pointee.sample_rate
      frame.pointee.nb_samples = samples
      try FFmpegError.check("allocate samples", av_channel_layout_copy(&frame.pointee.ch_layout, &model.pointee.ch_layout))
      try FFmpegError.check("allocate samples", av_frame_get_buffer(frame, 0))
    }

    /// Samples held back, at the output's rate.
    internal var delay: Int64 { swr_get_delay(context, Int64(rate)) }

    /// Makes the next second longer by `samples` of the output, or shorter.
    internal func stretch(by samples: Int) throws(FFmpegError) {
      try FFmpegError.check("stretch sound", swr_set_compensation(context, Int32(clamping: samples), rate))
    }

    /// Converts decoded samples from the one at `start` on; `consume` sees `result` filled with so many.
    internal func convert(
      _ samples: UnsafeMutablePointer<AVFrame>, from start: Int = 0, _ consume: (Int32) throws(FFmpegError) -> Void
    ) throws(FFmpegError) {
      try feed(samples, from: Int32(clamping: start), to: samples.pointee.nb_samples, consume)
    }

    internal func convertSilence(_ count: Int, _ consume: (Int32) throws(FFmpegError) -> Void) throws(FFmpegError) {
      var left = count
      while left > 0 {
        let part = min(left, 1024)
        try feed(silence, from: 0, to: Int32(part), consume)
        left -= part
      }
    }

    /// Makes what it holds back come out. It converts nothing further.
    internal func flush(_ consume: (Int32) throws(FFmpegError) -> Void) throws(FFmpegError) {
      while true {
        let made = swr_convert(context, result.pointee.extended_data, Self.room, nil, 0)
        try FFmpegError.check("resample", made)
        guard made > 0 else { return }
        try consume(made)
      }
    }

    /// In parts, so that what comes out fits into `result`.
    private func feed(
      _ samples: UnsafeMutablePointer<AVFrame>, from start: Int32, to end: Int32, _ consume: (Int32) throws(FFmpegError) -> Void
    ) throws(FFmpegError) {
      guard let data = samples.pointee.extended_data else { return }
      let isPlanar = av_sample_fmt_is_planar(AVSampleFormat(source.format)) != 0
      let planes = isPlanar ? Int(source.channels) : 1
      let stride = Int(av_get_bytes_per_sample(AVSampleFormat(source.format))) * (isPlanar ? 1 : Int(source.channels))
      let part = max(1, Int32(Int64(Self.room / 2) * Int64(source.rate) / Int64(max(rate, source.rate))))
      var position = start
      while position < end {
        let size = min(part, end - position)
        var input: [UnsafePointer<UInt8>?] = (0..<planes).map { data[$0].map { UnsafePointer($0 + Int(position) * stride) } }
        let made = swr_convert(context, result.pointee.extended_data, Self.room, &input, size)
        try FFmpegError.check("resample", made)
        if made > 0 { try consume(made) }
        position += size
      }
    }

    deinit {
      swr_free(&context)
      var (result, silence): (UnsafeMutablePointer<AVFrame>?, UnsafeMutablePointer<AVFrame>?) = (result, silence)
      av_frame_free(&result)
      av_frame_free(&silence)
    }
  }
#endif

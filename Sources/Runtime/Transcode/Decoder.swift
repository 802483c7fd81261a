#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs
  internal import MartletPrimitives

  /// One FFmpeg decoder and the frame it fills. Not thread-safe: it belongs to one transcoding thread.
  internal final class Decoder {
    private let context: UnsafeMutablePointer<AVCodecContext>
    private let packet: UnsafeMutablePointer<AVPacket>
    /// What `receive` filled: a picture or samples.
    internal let frame: UnsafeMutablePointer<AVFrame>

    internal init(_ format: TrackFormat, _ limits: TranscoderLimits) throws(FFmpegError) {
      Encoder.quiet
      guard let codec = Self.decoder(of: format.codec), let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(),
        let frame = av_frame_alloc()
      else { throw FFmpegError("FFmpeg has no decoder for \(format.codec)") }
      self.context = context
      self.packet = packet
      self.frame = frame
      context.pointee.thread_count = 1
      context.pointee.pkt_timebase = AVRational(num: 1, den: max(1, format.timescale))
      // Decoders with look-ahead give pictures up at once. H.264 and HEVC would lose those that come out of order.
      if format.codec == .av1 { context.pointee.flags |= AV_CODEC_FLAG_LOW_DELAY }
      context.pointee.max_pixels = Int64(limits.width) * Int64(limits.height)
      if format.kind == .audio { setAudio(format) }
      try setExtradata(of: format)
      try FFmpegError.check("open the \(format.codec) decoder", avcodec_open2(context, codec, nil))
    }

    internal static func decoder(of codec: Codec) -> UnsafePointer<AVCodec>? {
      switch codec {
      case .h264: avcodec_find_decoder(AV_CODEC_ID_H264)
      case .hevc: avcodec_find_decoder(AV_CODEC_ID_HEVC)
      case .av1: avcodec_find_decoder(AV_CODEC_ID_AV1)
      case .vp8: avcodec_find_decoder(AV_CODEC_ID_VP8)
      case .vp9: avcodec_find_decoder(AV_CODEC_ID_VP9)
      case .aac: avcodec_find_decoder(AV_CODEC_ID_AAC)
      case .mp3: avcodec_find_decoder(AV_CODEC_ID_MP3)
      // FFmpeg's own holds samples back when Opus changes its mode.
      case .opus: avcodec_find_decoder_by_name("libopus") ?? avcodec_find_decoder(AV_CODEC_ID_OPUS)
      case .g711a: avcodec_find_decoder(AV_CODEC_ID_PCM_ALAW)
      case .g711u: avcodec_find_decoder(AV_CODEC_ID_PCM_MULAW)
      case .g722: avcodec_find_decoder(AV_CODEC_ID_ADPCM_G722)
      case .data: nil
      }
    }

    private func setAudio(_ format: TrackFormat) {
      context.pointee.sample_rate = Int32(clamping: min(max(format.sampleRate, 0), 192_000))
      av_channel_layout_default(&context.pointee.ch_layout, Int32(clamping: min(max(format.channels, 1), 8)))
      context.pointee.request_sample_fmt = AV_SAMPLE_FMT_FLT
      // A second at the highest rate; packets hold tens of milliseconds.
      context.pointee.max_samples = 192_000
      // Delays are the pipeline's business: all samples come out, with the times of their frames.
      context.pointee.flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL
    }

    private func setExtradata(of format: TrackFormat) throws(FFmpegError) {
      guard !format.configuration.isEmpty else { return }
      guard format.codec == .opus else { return try setExtradata(format.configuration) }
      let head: [UInt8]
      do throws(ParseError) { head = try OpusConfiguration(format.configuration).writeHead() } catch { throw FFmpegError("\(error)") }
      try setExtradata(Slice(head))
    }

    /// The bytes belong to the context, which frees them.
    private func setExtradata(_ bytes: Slice) throws(FFmpegError) {
      guard let memory = av_mallocz(bytes.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else { throw FFmpegError("out of memory") }
      bytes.withUnsafeBytes { bytes in
        if let source = bytes.baseAddress { memory.copyMemory(from: source, byteCount: bytes.count) }
      }
      context.pointee.extradata = memory.assumingMemoryBound(to: UInt8.self)
      context.pointee.extradata_size = Int32(clamping: bytes.count)
    }

    /// Decodes one frame of the track, or what is held back when `source` is `nil`, and calls `take` with `frame` filled for
    /// each picture or run of samples.
    ///
    /// What comes behind damage comes out all the same: a VP9 superframe of which one frame is broken would otherwise stay
    /// in the decoder, which takes nothing new before it is empty.
    /// - Throws: the first error.
    internal func decode(_ source: Frame?, _ take: () -> Void) throws(FFmpegError) {
      var failures: [FFmpegError] = []
      do throws(FFmpegError) { if let source { try send(source) } else { try end() } } catch { failures.append(error) }
      while failures.count < Self.failuresInOne {
        do throws(FFmpegError) {
          guard try receive() else { break }
          take()
        } catch { failures.append(error) }
      }
      if let first = failures.first { throw first }
    }

    /// More than the frames of a superframe.
    private static let failuresInOne = 16

    /// Takes one frame of the track; `receive` until it answers false, before the next.
    internal func send(_ source: Frame) throws(FFmpegError) {
      // To FFmpeg a packet without bytes is the end of the stream.
      guard !source.payload.isEmpty, let size = Int32(exactly: source.payload.count) else { throw FFmpegError("a frame without bytes") }
      let code = source.payload.withUnsafeBytes { bytes in
        // Without a buffer of its own the packet is copied by the decoder, with the padding that bit readers need.
        packet.pointee.data = UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        packet.pointee.size = size
        packet.pointee.pts = Self.plausible(source.pts)
        packet.pointee.dts = Self.plausible(source.dts)
        packet.pointee.flags = source.isKey ? martlet_packet_flag_key : 0
        return avcodec_send_packet(context, packet)
      }
      packet.pointee.data = nil
      packet.pointee.size = 0
      try FFmpegError.check("decode", code)
    }

    /// Makes `receive` give up what the decoder holds back. It takes no further frame.
    internal func end() throws(FFmpegError) { try FFmpegError.check("decode", avcodec_send_packet(context, nil)) }

    /// Fills `frame`. False when the decoder needs another frame of the source, or has come to the end.
    internal func receive() throws(FFmpegError) -> Bool {
      let code = avcodec_receive_frame(context, frame)
      if code == martlet_averror_eagain() || code == martlet_averror_eof() { return false }
      try FFmpegError.check("decode", code)
      return true
    }

    /// When `frame` is due, in ticks of the track; `nil` when that is not known.
    internal var time: Int64? { frame.pointee.pts == .min ? nil : frame.pointee.pts }

    /// Thousands of years either way leave room for what FFmpeg computes with times.
    private static func plausible(_ time: Int64) -> Int64 { min(max(time, -(1 << 53)), 1 << 53) }

    deinit {
      var (context, packet, frame):
        (UnsafeMutablePointer<AVCodecContext>?, UnsafeMutablePointer<AVPacket>?, UnsafeMutablePointer<AVFrame>?) =
          (context, packet, frame)
      avcodec_free_context(&context)
      av_packet_free(&packet)
      av_frame_free(&frame)
    }
  }
#endif

#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs
  internal import MartletPrimitives

  /// One FFmpeg encoder and the frame it is fed with. Not thread-safe: it belongs to one transcoding thread.
  internal final class Encoder {
    internal struct Packet {
      let bytes: Slice
      let dts: Int64
      let pts: Int64
      let isKey: Bool
    }

    private let context: UnsafeMutablePointer<AVCodecContext>
    private let packet: UnsafeMutablePointer<AVPacket>
    /// Filled by the caller before `encode`.
    internal let frame: UnsafeMutablePointer<AVFrame>

    /// - Parameter prepare: sets the codec's parameters before it is opened.
    internal init(
      _ name: String, options: KeyValuePairs<String, String> = [:], prepare: (inout AVCodecContext) -> Void
    ) throws(FFmpegError) {
      Self.quiet
      guard let codec = avcodec_find_encoder_by_name(name), let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(),
        let frame = av_frame_alloc()
      else { throw FFmpegError("FFmpeg has no encoder \(name)") }
      self.context = context
      self.packet = packet
      self.frame = frame
      prepare(&context.pointee)
      context.pointee.flags |= martlet_codec_flag_global_header
      for (key, value) in options { av_opt_set(context.pointee.priv_data, key, value, 0) }
      try FFmpegError.check("open \(name)", avcodec_open2(context, codec, nil))
    }

    /// FFmpeg's libraries write to standard error, also what publishers make them say; what matters comes back as an error code.
    internal static let quiet: Void = av_log_set_level(AV_LOG_QUIET)

    /// Parameter sets in the codec's own form.
    internal var extradata: [UInt8] {
      guard let data = context.pointee.extradata, context.pointee.extradata_size > 0 else { return [] }
      return Array(UnsafeBufferPointer(start: data, count: Int(context.pointee.extradata_size)))
    }

    /// The parameter sets of an H.264 encoder as the body of `avcC`.
    internal func h264Configuration() throws(ParseError) -> Slice {
      let sets = AnnexB.units(of: Slice(extradata))
      return try H264Configuration(
        sps: sets.filter { H264.nalType($0.bytes.byte(at: 0) ?? 0) == H264.NALType.sps },
        pps: sets.filter { H264.nalType($0.bytes.byte(at: 0) ?? 0) == H264.NALType.pps }
      ).write()
    }

    /// Samples that an audio encoder takes at a time.
    internal var frameSize: Int { Int(context.pointee.frame_size) }

    internal func allocateVideo(
      width: Int, height: Int, _ format: AVPixelFormat = AV_PIX_FMT_YUV420P
    ) throws(FFmpegError) {
      frame.pointee.format = format.rawValue
      frame.pointee.width = Int32(width)
      frame.pointee.height = Int32(height)
      try FFmpegError.check("allocate a picture", av_frame_get_buffer(frame, 0))
    }

    internal func allocateAudio(sampleRate: Int) throws(FFmpegError) {
      frame.pointee.format = context.pointee.sample_fmt.rawValue
      frame.pointee.sample_rate = Int32(sampleRate)
      frame.pointee.nb_samples = context.pointee.frame_size
      av_channel_layout_copy(&frame.pointee.ch_layout, &context.pointee.ch_layout)
      try FFmpegError.check("allocate samples", av_frame_get_buffer(frame, 0))
    }

    /// Encodes `frame` with presentation time `pts` in the codec's time base.
    internal func encode(pts: Int64) throws(FFmpegError) -> [Packet] {
      frame.pointee.pts = pts
      return try encode(frame)
    }

    /// Encodes a frame of somebody else's, which keeps its own time.
    internal func encode(_ frame: UnsafeMutablePointer<AVFrame>) throws(FFmpegError) -> [Packet] {
      try FFmpegError.check("encode", avcodec_send_frame(context, frame))
      return try packets()
    }

    /// What the encoder holds back. It takes no further frame.
    internal func end() throws(FFmpegError) -> [Packet] {
      try FFmpegError.check("encode", avcodec_send_frame(context, nil))
      return try packets()
    }

    private func packets() throws(FFmpegError) -> [Packet] {
      var packets: [Packet] = []
      while true {
        let code = avcodec_receive_packet(context, packet)
        if code == martlet_averror_eagain() || code == martlet_averror_eof() { return packets }
        try FFmpegError.check("encode", code)
        let bytes = UnsafeBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size))
        packets.append(
          Packet(
            bytes: Slice(Array(bytes)), dts: packet.pointee.dts, pts: packet.pointee.pts,
            isKey: packet.pointee.flags & martlet_packet_flag_key != 0))
        av_packet_unref(packet)
      }
    }

    /// Makes `frame` writable again: the encoder may still hold its buffers.
    internal func makeWritable() throws(FFmpegError) { try FFmpegError.check("allocate a picture", av_frame_make_writable(frame)) }

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

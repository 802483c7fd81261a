#if Transcoding
  internal import CFFmpeg
  package import MartletCodecs
  package import MartletPrimitives

  /// A key frame as a JPEG. Takes milliseconds to tens of them, so it belongs on a transcoding thread.
  package struct Snapshot: Sendable {
    package struct Limits: Sendable {
      /// Pixels; a larger picture is refused before it is decoded as far as its parameter sets tell, and after it otherwise.
      package var width = 8192, height = 8192
      package init() {}
    }

    /// From 2, the best, to 31. 4 is hard to tell from the original.
    package var quantizer = 4
    package var limits = Limits()

    package init() {}

    /// - Parameter frame: a key frame of a video track.
    package func jpeg(_ frame: Frame, _ format: TrackFormat) throws(FFmpegError) -> Slice {
      Encoder.quiet
      let decoded = try Picture()
      try decode(frame, format, into: decoded)
      let (width, height) = (Int(decoded.frame.pointee.width), Int(decoded.frame.pointee.height))
      guard width > 0, height > 0, width <= limits.width, height <= limits.height else {
        throw FFmpegError("a picture of \(width)x\(height) pixels; the limit is \(limits.width)x\(limits.height)")
      }
      let encoder = try Encoder("mjpeg") { context in
        context.width = Int32(width)
        context.height = Int32(height)
        context.pix_fmt = AV_PIX_FMT_YUVJ420P
        context.time_base = AVRational(num: 1, den: 25)
        context.thread_count = 1
        context.flags |= AV_CODEC_FLAG_QSCALE
        context.global_quality = FF_QP2LAMBDA * Int32(quantizer)
      }
      try encoder.allocateVideo(width: width, height: height, AV_PIX_FMT_YUVJ420P)
      try convert(decoded.frame, to: encoder.frame)
      encoder.frame.pointee.quality = FF_QP2LAMBDA * Int32(quantizer)
      guard let packet = try encoder.encode(pts: 0).first else { throw FFmpegError("the encoder gave no picture") }
      return packet.bytes
    }

    private func decode(_ frame: Frame, _ format: TrackFormat, into picture: borrowing Picture) throws(FFmpegError) {
      guard let id = Self.decoder(format.codec), let codec = avcodec_find_decoder(id), let context = avcodec_alloc_context3(codec) else {
        throw FFmpegError("FFmpeg has no decoder for \(format.codec)")
      }
      defer {
        var context: UnsafeMutablePointer<AVCodecContext>? = context
        avcodec_free_context(&context)
      }
      context.pointee.thread_count = 1
      context.pointee.max_pixels = Int64(limits.width) * Int64(limits.height)
      try Self.setExtradata(format.configuration, of: context)
      try FFmpegError.check("open the decoder", avcodec_open2(context, codec, nil))
      guard let packet = av_packet_alloc() else { throw FFmpegError("out of memory") }
      defer {
        var packet: UnsafeMutablePointer<AVPacket>? = packet
        av_packet_free(&packet)
      }
      try FFmpegError.check("allocate a packet", av_new_packet(packet, Int32(clamping: frame.payload.count)))
      frame.payload.withUnsafeBytes { bytes in
        guard let source = bytes.baseAddress, let target = packet.pointee.data else { return }
        UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: bytes.count)
      }
      packet.pointee.flags |= martlet_packet_flag_key
      try FFmpegError.check("decode", avcodec_send_packet(context, packet))
      // The end of the stream makes a decoder that reorders give its picture up.
      try FFmpegError.check("decode", avcodec_send_packet(context, nil))
      try FFmpegError.check("decode", avcodec_receive_frame(context, picture.frame))
    }

    private static func decoder(_ codec: Codec) -> AVCodecID? {
      switch codec {
      case .h264: AV_CODEC_ID_H264
      case .hevc: AV_CODEC_ID_HEVC
      case .av1: AV_CODEC_ID_AV1
      case .vp8: AV_CODEC_ID_VP8
      case .vp9: AV_CODEC_ID_VP9
      default: nil
      }
    }

    /// The bytes belong to the context, which frees them.
    private static func setExtradata(
      _ configuration: Slice, of context: UnsafeMutablePointer<AVCodecContext>
    ) throws(FFmpegError) {
      guard !configuration.isEmpty else { return }
      guard let memory = av_mallocz(configuration.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else { throw FFmpegError("out of memory") }
      configuration.withUnsafeBytes { bytes in
        if let source = bytes.baseAddress { memory.copyMemory(from: source, byteCount: bytes.count) }
      }
      context.pointee.extradata = memory.assumingMemoryBound(to: UInt8.self)
      context.pointee.extradata_size = Int32(clamping: configuration.count)
    }

    /// To full-range BT.601, which is what JFIF means by YCbCr.
    private func convert(_ source: UnsafeMutablePointer<AVFrame>, to target: UnsafeMutablePointer<AVFrame>) throws(FFmpegError) {
      let (width, height) = (source.pointee.width, source.pointee.height)
      guard
        let scaler = sws_getContext(
          width, height, AVPixelFormat(source.pointee.format), width, height, AV_PIX_FMT_YUVJ420P, SWS_BILINEAR, nil, nil, nil)
      else { throw FFmpegError("pictures of this pixel format cannot be converted") }
      defer { sws_freeContext(scaler) }
      let isFull: Int32 = source.pointee.color_range == AVCOL_RANGE_JPEG ? 1 : 0
      let matrix =
        source.pointee.colorspace == AVCOL_SPC_UNSPECIFIED
        ? (height >= 720 ? SWS_CS_ITU709 : SWS_CS_ITU601) : Int32(clamping: Int(source.pointee.colorspace.rawValue))
      // Matrices that swscale does not know count as its default, and a refusal leaves the colours as they are.
      sws_setColorspaceDetails(
        scaler, sws_getCoefficients(matrix), isFull, sws_getCoefficients(SWS_CS_ITU601), 1, 0, 1 << 16, 1 << 16)
      try FFmpegError.check("convert the picture", sws_scale_frame(scaler, target, source))
    }
  }

  /// A decoded picture.
  private struct Picture: ~Copyable {
    let frame: UnsafeMutablePointer<AVFrame>

    init() throws(FFmpegError) {
      guard let frame = av_frame_alloc() else { throw FFmpegError("out of memory") }
      self.frame = frame
    }

    deinit {
      var frame: UnsafeMutablePointer<AVFrame>? = frame
      av_frame_free(&frame)
    }
  }
#endif

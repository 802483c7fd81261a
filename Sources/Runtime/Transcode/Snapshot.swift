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
      let decoded = try decode(frame, format)
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

    /// - Returns: the decoder, whose frame is the picture.
    private func decode(_ frame: Frame, _ format: TrackFormat) throws(FFmpegError) -> Decoder {
      guard format.kind == .video else { throw FFmpegError("\(format.codec) is no video") }
      var bounds = TranscoderLimits()
      (bounds.width, bounds.height) = (limits.width, limits.height)
      let decoder = try Decoder(format, bounds)
      var key = frame
      key.isKey = true
      try decoder.send(key)
      // The end of the stream makes a decoder that reorders give its picture up.
      try decoder.end()
      guard try decoder.receive() else { throw FFmpegError("the frame holds no picture") }
      return decoder
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
#endif

#if Transcoding
  internal import CFFmpeg

  /// From the pixel form and size of a decoder to those of an encoder, with colours and their range as they are.
  internal final class PictureScaler {
    private var context: OpaquePointer?
    private let source: (format: Int32, width: Int32, height: Int32)

    /// - Parameter target: a picture of the encoder's.
    internal init(
      from picture: UnsafeMutablePointer<AVFrame>, to target: UnsafeMutablePointer<AVFrame>
    ) throws(FFmpegError) {
      source = (picture.pointee.format, picture.pointee.width, picture.pointee.height)
      guard
        let context = sws_getContext(
          source.width, source.height, AVPixelFormat(source.format), target.pointee.width, target.pointee.height,
          AVPixelFormat(target.pointee.format), SWS_BILINEAR, nil, nil, nil)
      else { throw FFmpegError("pictures of this pixel format cannot be converted") }
      self.context = context
      let colors = PictureColors(picture)
      let isFull: Int32 = colors.range == AVCOL_RANGE_JPEG ? 1 : 0
      let matrix = sws_getCoefficients(Int32(clamping: Int(colors.space.rawValue)))
      // The same on both sides: only depth, subsampling and size change. A refusal leaves swscale's defaults.
      sws_setColorspaceDetails(context, matrix, isFull, matrix, isFull, 0, 1 << 16, 1 << 16)
    }

    internal func fits(_ picture: UnsafeMutablePointer<AVFrame>) -> Bool {
      source == (picture.pointee.format, picture.pointee.width, picture.pointee.height)
    }

    internal func convert(_ picture: UnsafeMutablePointer<AVFrame>, to target: UnsafeMutablePointer<AVFrame>) throws(FFmpegError) {
      try FFmpegError.check("convert the picture", sws_scale_frame(context, target, picture))
    }

    deinit { sws_freeContext(context) }
  }

  /// What the numbers of a picture mean, as its encoder will say.
  internal struct PictureColors: Equatable {
    internal let range: AVColorRange
    internal let space: AVColorSpace
    internal let primaries: AVColorPrimaries
    internal let transfer: AVColorTransferCharacteristic

    internal init(_ picture: UnsafeMutablePointer<AVFrame>) {
      primaries = picture.pointee.color_primaries
      transfer = picture.pointee.color_trc
      // RGB becomes the YUV of high definition.
      let isRGB = picture.pointee.colorspace == AVCOL_SPC_RGB
      space = isRGB ? AVCOL_SPC_BT709 : picture.pointee.colorspace
      range = isRGB ? AVCOL_RANGE_MPEG : picture.pointee.color_range
    }
  }
#endif

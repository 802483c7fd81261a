#if Transcoding
  internal import CFFmpeg
  internal import MartletCodecs
  internal import MartletPrimitives

  /// An H.264 encoder for pictures of one size, without B-frames: what it takes comes out at once and in order.
  internal final class VideoEncoder {
    /// What a new encoder is needed for when it changes.
    internal struct Shape: Equatable {
      internal let width: Int32, height: Int32
      internal let colors: PictureColors
      internal let aspect: (num: Int32, den: Int32)

      /// 4:2:0 has no odd sizes: a last row or column is scaled away.
      internal init(_ picture: UnsafeMutablePointer<AVFrame>) {
        width = max(2, picture.pointee.width & ~1)
        height = max(2, picture.pointee.height & ~1)
        colors = PictureColors(picture)
        aspect = (picture.pointee.sample_aspect_ratio.num, picture.pointee.sample_aspect_ratio.den)
      }

      internal static func == (a: Self, b: Self) -> Bool {
        a.width == b.width && a.height == b.height && a.colors == b.colors && a.aspect == b.aspect
      }
    }

    internal let shape: Shape
    internal let format: TrackFormat
    private let encoder: Encoder
    private var scaler: PictureScaler?

    /// - Parameters:
    ///   - source: for the clock of the frames and their rate.
    ///   - bitrate: bits a second; `nil` for one that suits the size.
    internal init(_ shape: Shape, _ source: TrackFormat, bitrate: Int?) throws(FFmpegError) {
      self.shape = shape
      let frameRate = source.frameRate > 0 ? min(max(source.frameRate, 5), 120) : 30
      let bitrate = Int64(bitrate ?? Self.bitrate(shape, frameRate))
      encoder = try Encoder("libx264", options: Self.options) { context in
        context.width = shape.width
        context.height = shape.height
        context.pix_fmt = AV_PIX_FMT_YUV420P
        context.sample_aspect_ratio = AVRational(num: shape.aspect.num, den: shape.aspect.den)
        context.color_range = shape.colors.range
        context.colorspace = shape.colors.space
        context.color_primaries = shape.colors.primaries
        context.color_trc = shape.colors.transfer
        context.time_base = AVRational(num: 1, den: PictureClock.rate)
        context.framerate = AVRational(num: Int32(frameRate * 1000), den: 1000)
        // Key frames come by `PictureClock`; this many pictures without one do not.
        context.gop_size = 100_000
        context.max_b_frames = 0
        context.bit_rate = bitrate
        // A key frame may take what a second of the rate does.
        context.rc_max_rate = bitrate
        context.rc_buffer_size = Int32(clamping: bitrate)
        context.thread_count = 1
      }
      format = try Self.format(encoder, source)
    }

    internal static var isAvailable: Bool { avcodec_find_encoder_by_name("libx264") != nil }

    /// Constrained baseline, which every browser and phone decodes. Cuts of scenes make no key frames of their own.
    private static let options: KeyValuePairs = [
      "preset": "veryfast", "tune": "zerolatency", "profile": "baseline", "forced-idr": "1", "sc_threshold": "0",
    ]

    /// 0.07 bits a pixel: 2 Mbit/s for 720p30, 4.4 for 1080p30.
    private static func bitrate(_ shape: Shape, _ frameRate: Double) -> Int {
      let pixels = Double(shape.width) * Double(shape.height) * min(frameRate, 60)
      return min(max(Int(pixels * 0.07), 150_000), 20_000_000)
    }

    private static func format(_ encoder: Encoder, _ source: TrackFormat) throws(FFmpegError) -> TrackFormat {
      do throws(ParseError) {
        var format = try TrackFormat.h264(avcC: encoder.h264Configuration(), timescale: source.timescale)
        format.frameRate = source.frameRate
        return format
      } catch { throw FFmpegError("the H.264 encoder's configuration: \(error)") }
    }

    /// - Parameter picture: of this encoder's shape; its time and type are overwritten.
    internal func encode(_ picture: UnsafeMutablePointer<AVFrame>, _ tick: PictureClock.Tick) throws(FFmpegError) -> [Encoder.Packet] {
      let prepared = try prepare(picture)
      // What the source coded it as is no wish of ours.
      prepared.pointee.pict_type = tick.isKey ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE
      prepared.pointee.pts = tick.time
      return try encoder.encode(prepared)
    }

    private func prepare(_ picture: UnsafeMutablePointer<AVFrame>) throws(FFmpegError) -> UnsafeMutablePointer<AVFrame> {
      let isYUV420 = [AV_PIX_FMT_YUV420P.rawValue, AV_PIX_FMT_YUVJ420P.rawValue].contains(picture.pointee.format)
      if isYUV420, picture.pointee.width == shape.width, picture.pointee.height == shape.height { return picture }
      if scaler == nil { try encoder.allocateVideo(width: Int(shape.width), height: Int(shape.height)) }
      if scaler?.fits(picture) != true { scaler = try PictureScaler(from: picture, to: encoder.frame) }
      try encoder.makeWritable()
      try scaler?.convert(picture, to: encoder.frame)
      return encoder.frame
    }
  }
#endif

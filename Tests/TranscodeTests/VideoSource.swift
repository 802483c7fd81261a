#if Transcoding
  import CFFmpeg
  import MartletCodecs
  import MartletPrimitives

  /// A white square on black that moves by four pixels a picture, encoded.
  struct VideoSource {
    let format: TrackFormat
    let frames: [Frame]

    static let square = 32
    /// The left edge of the square in picture `index`.
    static func x(_ index: Int) -> Int { 16 + index * 4 % 128 }

    /// - Parameters:
    ///   - timescale: 30 pictures a second on this clock.
    ///   - bFrames: pictures between references, for H.264 and HEVC.
    init(
      _ codec: Codec, width: Int = 256, height: Int = 144, count: Int = 60, timescale: Int32 = 90_000, bFrames: Int = 0,
      pixelFormat: AVPixelFormat = AV_PIX_FMT_YUV420P, start: Int64 = 0
    ) throws {
      let (name, options) = Self.encoder(codec, bFrames)
      let encoder = try TestEncoder(name, options) { context in
        context.width = Int32(width)
        context.height = Int32(height)
        context.pix_fmt = pixelFormat
        context.time_base = AVRational(num: 1, den: 30)
        context.framerate = AVRational(num: 30, den: 1)
        context.gop_size = 30
        context.max_b_frames = Int32(bFrames)
        context.bit_rate = 800_000
        if codec == .h264 { context.color_range = AVCOL_RANGE_MPEG }
      }
      encoder.frame.pointee.format = pixelFormat.rawValue
      encoder.frame.pointee.width = Int32(width)
      encoder.frame.pointee.height = Int32(height)
      av_frame_get_buffer(encoder.frame, 0)
      var frames: [Frame] = []
      for index in 0..<count {
        av_frame_make_writable(encoder.frame)
        Self.draw(index, into: encoder.frame, pixelFormat)
        frames += encoder.encode(pts: Int64(index))
      }
      frames += encoder.encode(pts: nil)
      let tick = Int64(timescale) / 30
      self.frames = frames.map { frame in
        var frame = frame
        (frame.pts, frame.dts) = (frame.pts * tick + start, frame.dts * tick + start)
        frame.payload = Self.payload(frame.payload, codec)
        return frame
      }
      format = try Self.format(codec, encoder.extradata, first: self.frames[0].payload, timescale)
    }

    private static func encoder(_ codec: Codec, _ bFrames: Int) -> (String, KeyValuePairs<String, String>) {
      switch codec {
      case .vp8: ("libvpx", ["deadline": "realtime", "cpu-used": "8"])
      case .vp9: ("libvpx-vp9", ["deadline": "realtime", "cpu-used": "8"])
      case .av1: ("libaom-av1", ["usage": "realtime", "cpu-used": "9", "lag-in-frames": "0"])
      case .hevc: ("libx265", ["preset": "ultrafast", "x265-params": "log-level=none:pools=1:bframes=\(bFrames)"])
      default: ("libx264", ["preset": "veryfast"])
      }
    }

    private static func draw(_ index: Int, into frame: UnsafeMutablePointer<AVFrame>, _ format: AVPixelFormat) {
      guard let luma = frame.pointee.data.0, let blue = frame.pointee.data.1, let red = frame.pointee.data.2 else { return }
      let (width, height) = (Int(frame.pointee.width), Int(frame.pointee.height))
      let chromaHeight = format == AV_PIX_FMT_YUV420P ? (height + 1) / 2 : height
      for row in 0..<height {
        let isInside = 40..<40 + square ~= row
        for column in 0..<width {
          luma[row * Int(frame.pointee.linesize.0) + column] = isInside && x(index)..<x(index) + square ~= column ? 235 : 16
        }
      }
      for row in 0..<chromaHeight {
        (blue + row * Int(frame.pointee.linesize.1)).update(repeating: 128, count: Int(frame.pointee.linesize.1))
        (red + row * Int(frame.pointee.linesize.2)).update(repeating: 128, count: Int(frame.pointee.linesize.2))
      }
    }

    private static func payload(_ payload: Slice, _ codec: Codec) -> Slice {
      switch codec {
      case .h264, .hevc: return AnnexB.lengthPrefixed(payload)
      case .av1:
        // `Frame` holds no temporal delimiters; libaom puts one of two bytes in front of each frame.
        return payload.sub(0..<2) == [0x12, 0] ? payload.dropFirst(2) : payload
      default: return payload
      }
    }

    private static func format(_ codec: Codec, _ extradata: Slice, first: Slice, _ timescale: Int32) throws -> TrackFormat {
      switch codec {
      case .h264, .hevc:
        var sets = ParameterSets(codec)
        for unit in AnnexB.units(of: extradata) { sets.absorb(unit) }
        return try sets.format(timescale: timescale)
      case .av1: return TrackFormat(codec: .av1, timescale: timescale, configuration: extradata)
      default:
        let format = try TrackFormat.vpx(codec, keyFrame: first, timescale: timescale)
        guard let format else { throw TestEncoder.Missing(name: "a key frame") }
        return format
      }
    }
  }

  /// A decoded picture's square.
  struct SeenPicture: Equatable {
    let pts: Int64
    let width: Int, height: Int
    /// The left edge of what is white in the middle row of the square, or -1.
    let x: Int

    /// Decodes H.264.
    static func all(_ frames: [Frame], _ format: TrackFormat) throws -> [SeenPicture] {
      guard let codec = avcodec_find_decoder(AV_CODEC_ID_H264), let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(),
        let frame = av_frame_alloc()
      else { throw TestEncoder.Missing(name: "h264") }
      defer {
        var (context, packet, frame):
          (UnsafeMutablePointer<AVCodecContext>?, UnsafeMutablePointer<AVPacket>?, UnsafeMutablePointer<AVFrame>?) =
            (context, packet, frame)
        avcodec_free_context(&context)
        av_packet_free(&packet)
        av_frame_free(&frame)
      }
      let extradata = format.configuration.array
      context.pointee.extradata = av_mallocz(extradata.count + 64).assumingMemoryBound(to: UInt8.self)
      context.pointee.extradata.update(from: extradata, count: extradata.count)
      context.pointee.extradata_size = Int32(extradata.count)
      context.pointee.thread_count = 1
      avcodec_open2(context, codec, nil)
      var seen: [SeenPicture] = []
      func receive() {
        while avcodec_receive_frame(context, frame) >= 0 { seen.append(SeenPicture(frame)) }
      }
      for source in frames {
        source.payload.withUnsafeBytes { bytes in
          packet.pointee.data = UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
          packet.pointee.size = Int32(bytes.count)
          packet.pointee.pts = source.pts
          packet.pointee.dts = source.dts
          _ = avcodec_send_packet(context, packet)
        }
        receive()
      }
      avcodec_send_packet(context, nil)
      receive()
      return seen
    }

    private init(_ frame: UnsafeMutablePointer<AVFrame>) {
      (pts, width, height) = (frame.pointee.pts, Int(frame.pointee.width), Int(frame.pointee.height))
      guard let luma = frame.pointee.data.0 else {
        x = -1
        return
      }
      let row = luma + (40 + VideoSource.square / 2) * Int(frame.pointee.linesize.0)
      x = (0..<width).first { row[$0] > 125 } ?? -1
    }
  }
#endif

#if Transcoding
  import CFFmpeg
  import MartletCodecs
  import MartletPrimitives

  /// An encoder of FFmpeg's that makes the sources of these tests. Times are in the time base that `prepare` sets.
  final class TestEncoder {
    let context: UnsafeMutablePointer<AVCodecContext>
    let frame: UnsafeMutablePointer<AVFrame>
    private let packet: UnsafeMutablePointer<AVPacket>

    struct Missing: Error { let name: String }

    init(_ name: String, _ options: KeyValuePairs<String, String> = [:], prepare: (inout AVCodecContext) -> Void) throws {
      av_log_set_level(AV_LOG_QUIET)
      guard let codec = avcodec_find_encoder_by_name(name), let context = avcodec_alloc_context3(codec), let frame = av_frame_alloc(),
        let packet = av_packet_alloc()
      else { throw Missing(name: name) }
      (self.context, self.frame, self.packet) = (context, frame, packet)
      prepare(&context.pointee)
      context.pointee.thread_count = 1
      context.pointee.flags |= martlet_codec_flag_global_header
      for (key, value) in options { av_opt_set(context.pointee.priv_data, key, value, 0) }
      guard avcodec_open2(context, codec, nil) >= 0 else { throw Missing(name: name) }
    }

    var extradata: Slice {
      guard let data = context.pointee.extradata else { return Slice() }
      return Slice(Array(UnsafeBufferPointer(start: data, count: Int(context.pointee.extradata_size))))
    }

    /// What comes out for `frame`, or for the end of the stream when `pts` is `nil`.
    func encode(pts: Int64?) -> [Frame] {
      frame.pointee.pts = pts ?? 0
      avcodec_send_frame(context, pts == nil ? nil : frame)
      var frames: [Frame] = []
      while avcodec_receive_packet(context, packet) >= 0 {
        let bytes = UnsafeBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.size))
        frames.append(
          Frame(
            track: 0, dts: packet.pointee.dts, pts: packet.pointee.pts, isKey: packet.pointee.flags & martlet_packet_flag_key != 0,
            payload: Slice(Array(bytes))))
        av_packet_unref(packet)
      }
      return frames
    }

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

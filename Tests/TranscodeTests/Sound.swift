#if Transcoding
  import CFFmpeg
  import MartletCodecs
  import MartletPrimitives

  /// Decoded sound on its time line, one array of samples a channel.
  struct Sound {
    let rate: Int
    /// Of the first sample, in samples.
    let start: Int64
    private(set) var channels: [[Float]] = []

    init(_ frames: [Frame], _ format: TrackFormat) throws {
      guard let codec = avcodec_find_decoder_by_name(format.codec == .opus ? "libopus" : "aac"),
        let context = avcodec_alloc_context3(codec), let packet = av_packet_alloc(), let frame = av_frame_alloc()
      else { throw TestEncoder.Missing(name: "\(format.codec)") }
      defer {
        var (context, packet, frame):
          (UnsafeMutablePointer<AVCodecContext>?, UnsafeMutablePointer<AVPacket>?, UnsafeMutablePointer<AVFrame>?) =
            (context, packet, frame)
        avcodec_free_context(&context)
        av_packet_free(&packet)
        av_frame_free(&frame)
      }
      let extradata = format.codec == .opus ? try OpusConfiguration(format.configuration).writeHead() : format.configuration.array
      context.pointee.extradata = av_mallocz(extradata.count + 64).assumingMemoryBound(to: UInt8.self)
      context.pointee.extradata.update(from: extradata, count: extradata.count)
      context.pointee.extradata_size = Int32(extradata.count)
      context.pointee.request_sample_fmt = AV_SAMPLE_FMT_FLT
      context.pointee.flags2 |= AV_CODEC_FLAG2_SKIP_MANUAL
      avcodec_open2(context, codec, nil)
      rate = Int(format.timescale)
      start = frames.first?.pts ?? 0
      for source in frames {
        source.payload.withUnsafeBytes { bytes in
          packet.pointee.data = UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
          packet.pointee.size = Int32(bytes.count)
          _ = avcodec_send_packet(context, packet)
        }
        while avcodec_receive_frame(context, frame) >= 0 { add(frame, at: Int(source.pts - start)) }
      }
    }

    private mutating func add(_ frame: UnsafeMutablePointer<AVFrame>, at position: Int) {
      let count = Int(frame.pointee.ch_layout.nb_channels)
      let isPlanar = av_sample_fmt_is_planar(AVSampleFormat(frame.pointee.format)) != 0
      while channels.count < count { channels.append([]) }
      for channel in 0..<count {
        // Gaps of the time line are silence; overlaps would be a fault and show up as a shifted sound.
        while channels[channel].count < position { channels[channel].append(0) }
        guard let plane = frame.pointee.extended_data[isPlanar ? channel : 0] else { continue }
        for index in 0..<Int(frame.pointee.nb_samples) {
          let place = isPlanar ? index : index * count + channel
          channels[channel].append(UnsafeRawPointer(plane).load(fromByteOffset: place * 4, as: Float.self))
        }
      }
    }

    /// Seconds at which channel 0 becomes loud.
    var onset: Double? { crossings(above: 0.15).first }

    /// Seconds of each first loud sample behind 50 ms of quiet.
    func crossings(above level: Float) -> [Double] {
      var result: [Double] = []
      var lastLoud = Int.min / 2
      for (index, sample) in (channels.first ?? []).enumerated() where abs(sample) > level {
        if index - lastLoud > rate / 20 { result.append(Double(Int64(index) + start) / Double(rate)) }
        lastLoud = index
      }
      return result
    }

    /// Hertz of a channel between two times, by its zero crossings.
    func frequency(_ channel: Int = 0, from: Double, to: Double) -> Double {
      let samples = channels[channel]
      let range = max(1, Int(from * Double(rate)) - Int(start))..<min(samples.count, Int(to * Double(rate)) - Int(start))
      let rising = range.filter { samples[$0 - 1] < 0 && samples[$0] >= 0 }
      guard let first = rising.first, let last = rising.last, last > first else { return 0 }
      return Double(rising.count - 1) * Double(rate) / Double(last - first)
    }
  }
#endif

#if Transcoding
  internal import CFFmpeg
  internal import Glibc
  package import MartletCodecs
  package import MartletPrimitives

  /// The demo's camera: a moving test picture with a clock and a tone, encoded on a thread of its own.
  ///
  /// The caller owns pace and thread: it calls `next(wallTime:)` in a loop and sleeps until `nextFrame`.
  package final class DemoSource {
    package struct Configuration: Sendable {
      package var width = 1280, height = 720
      package var frameRate = 30
      /// Bits a second of video.
      package var bitrate = 1_500_000
      package var sampleRate = 48_000
      package init() {}
    }

    /// Track 0 is H.264, track 1 AAC.
    package let formats: [TrackFormat]
    private let configuration: Configuration
    private let picture: TestPicture
    private let video: Encoder
    private let audio: Encoder
    private var pictures = 0
    private var samples = 0

    package init(_ configuration: Configuration = Configuration()) throws {
      self.configuration = configuration
      picture = TestPicture(width: configuration.width, height: configuration.height)
      video = try Self.videoEncoder(configuration)
      audio = try Self.audioEncoder(configuration)
      formats = [try .h264(avcC: video.h264Configuration()), try .aac(Slice(audio.extradata))]
    }

    private static func videoEncoder(_ configuration: Configuration) throws(FFmpegError) -> Encoder {
      let encoder = try Encoder("libx264", options: ["preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"]) { context in
        context.width = Int32(configuration.width)
        context.height = Int32(configuration.height)
        context.pix_fmt = AV_PIX_FMT_YUV420P
        context.time_base = AVRational(num: 1, den: Int32(configuration.frameRate))
        context.framerate = AVRational(num: Int32(configuration.frameRate), den: 1)
        context.gop_size = Int32(configuration.frameRate * 2)
        context.max_b_frames = 0
        context.bit_rate = Int64(configuration.bitrate)
        context.thread_count = 1
      }
      try encoder.allocateVideo(width: configuration.width, height: configuration.height)
      return encoder
    }

    private static func audioEncoder(_ configuration: Configuration) throws(FFmpegError) -> Encoder {
      let encoder = try Encoder("aac") { context in
        context.sample_fmt = AV_SAMPLE_FMT_FLTP
        context.sample_rate = Int32(configuration.sampleRate)
        context.bit_rate = 96_000
        context.time_base = AVRational(num: 1, den: Int32(configuration.sampleRate))
        av_channel_layout_default(&context.ch_layout, 1)
      }
      try encoder.allocateAudio(sampleRate: configuration.sampleRate)
      return encoder
    }

    /// How long after the start the next picture is due.
    package var nextFrame: TimeSpan { TimeSpan(nanoseconds: Int64(pictures) * 1_000_000_000 / Int64(configuration.frameRate)) }

    /// The next picture and the sound up to its end.
    package func next(wallTime: WallTime) throws -> [Frame] {
      var frames: [Frame] = []
      try video.makeWritable()
      if let planes = video.planes { picture.draw(pictures, rate: configuration.frameRate, clock: Self.clock(wallTime), into: planes) }
      for packet in try video.encode(pts: Int64(pictures)) {
        let scale = 1000 / Double(configuration.frameRate)
        frames.append(
          Frame(
            track: 0, dts: Int64(Double(packet.dts) * scale), pts: Int64(Double(packet.pts) * scale), isKey: packet.isKey,
            payload: AnnexB.lengthPrefixed(packet.bytes)))
      }
      pictures += 1
      while samples * configuration.frameRate < pictures * configuration.sampleRate {
        try audio.makeWritable()
        audio.withSamples { tone(into: $0) }
        for packet in try audio.encode(pts: Int64(samples)) {
          // The encoder's priming samples begin below zero.
          let time = packet.pts + 1024
          frames.append(Frame(track: 1, dts: time, pts: time, isKey: true, payload: packet.bytes))
        }
        samples += audio.frameSize
      }
      return frames
    }

    /// A quiet 440 Hz, and a beep in the first tenth of each second.
    private func tone(into buffer: UnsafeMutableBufferPointer<Float>) {
      for index in buffer.indices {
        let second = Double(samples + index) / Double(configuration.sampleRate)
        let isBeep = second - second.rounded(.down) < 0.1
        let angle = second * 2 * .pi * (isBeep ? 880 : 440)
        buffer[index] = Float(sin(angle)) * (isBeep ? 0.25 : 0.05)
      }
    }

    private static func clock(_ time: WallTime) -> String {
      let text = time.iso8601
      return String(text.dropFirst(11).prefix(10))
    }
  }

  extension Encoder {
    /// The planes of the picture to be encoded.
    internal var planes: TestPicture.Planes? {
      let frame = frame.pointee
      guard let luma = frame.data.0, let blue = frame.data.1, let red = frame.data.2 else { return nil }
      let (lumaStride, chromaStride) = (Int(frame.linesize.0), Int(frame.linesize.1))
      let height = Int(frame.height)
      return TestPicture.Planes(
        luma: UnsafeMutableBufferPointer(start: luma, count: lumaStride * height),
        blue: UnsafeMutableBufferPointer(start: blue, count: chromaStride * height / 2),
        red: UnsafeMutableBufferPointer(start: red, count: chromaStride * height / 2), lumaStride: lumaStride, chromaStride: chromaStride)
    }

    /// The first channel of the samples to be encoded.
    internal func withSamples(_ body: (UnsafeMutableBufferPointer<Float>) -> Void) {
      guard let data = frame.pointee.data.0 else { return }
      let count = Int(frame.pointee.nb_samples)
      data.withMemoryRebound(to: Float.self, capacity: count) { body(UnsafeMutableBufferPointer(start: $0, count: count)) }
    }
  }
#endif

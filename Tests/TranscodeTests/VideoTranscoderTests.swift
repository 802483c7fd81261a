#if Transcoding
  import CFFmpeg
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Testing

  @Suite struct VideoTranscoderTests {
    /// All of `frames` through a transcoder.
    private func transcode(
      _ frames: [Frame], _ format: TrackFormat, _ configuration: VideoTranscoder.Configuration = .init()
    ) async throws -> [TranscoderOutput] {
      let recorder = OutputRecorder()
      var configuration = configuration
      configuration.limits.queuedFrames = max(configuration.limits.queuedFrames, frames.count)
      let transcoder = try VideoTranscoder(from: format, configuration) { recorder.record($0) }
      for frame in frames { transcoder.send(frame) }
      transcoder.finish()
      return await recorder.all()
    }

    private func expectSquares(_ frames: [Frame], _ format: TrackFormat, count: Int, tick: Int64) throws {
      #expect(frames.count == count)
      #expect(frames.allSatisfy { $0.pts == $0.dts })
      let seen = try SeenPicture.all(frames, format)
      #expect(seen.count == count)
      for picture in seen {
        let x = VideoSource.x(Int(picture.pts / tick))
        #expect(abs(picture.x - x) <= 1, "at \(picture.pts): \(picture.x), not \(x)")
      }
    }

    @Test(arguments: [Codec.vp8, .vp9, .av1, .hevc, .h264], [Int32(90_000), 1000])
    func `each picture comes out as H.264 at its own time`(codec: Codec, timescale: Int32) async throws {
      let source = try VideoSource(codec, timescale: timescale)
      let outputs = try await transcode(source.frames, source.format)
      let format = try #require(outputs.formats.first)
      #expect(outputs.formats.count == 1 && format.codec == .h264 && format.width == 256 && format.height == 144)
      // Constrained baseline.
      #expect(format.codecString.hasPrefix("avc1.42c0") && format.timescale == timescale)
      #expect(outputs.frames.map(\.pts) == source.frames.map(\.pts).sorted())
      #expect(outputs.frames.first?.isKey == true && outputs.warnings.isEmpty && outputs.failures.isEmpty)
      try expectSquares(outputs.frames, format, count: 60, tick: Int64(timescale) / 30)
    }

    @Test(arguments: [Codec.h264, .hevc])
    func `reordered pictures come out in the order of their times`(codec: Codec) async throws {
      let source = try VideoSource(codec, bFrames: 3)
      #expect(source.frames.contains { $0.pts != $0.dts })
      let outputs = try await transcode(source.frames, source.format)
      let frames = outputs.frames
      #expect(zip(frames, frames.dropFirst()).allSatisfy { $0.dts < $1.dts && $1.pts == $1.dts })
      try expectSquares(frames, try #require(outputs.formats.first), count: 60, tick: 3000)
    }
  }
#endif

#if Transcoding
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Testing

  @Suite struct AudioTranscoderTests {
    /// All of `frames` through a transcoder.
    private func transcode(
      _ frames: [Frame], _ format: TrackFormat, to codec: Codec, _ configuration: AudioTranscoder.Configuration = .init()
    ) async throws -> [TranscoderOutput] {
      let recorder = OutputRecorder()
      var configuration = configuration
      configuration.limits.queuedFrames = max(configuration.limits.queuedFrames, frames.count)
      let transcoder = try AudioTranscoder(from: format, to: codec, configuration) { recorder.record($0) }
      for frame in frames { transcoder.send(frame) }
      transcoder.finish()
      return await recorder.all()
    }

    @Test(arguments: [
      (Codec.aac, 48_000, 2), (.aac, 44_100, 2), (.aac, 22_050, 1), (.mp3, 44_100, 2), (.mp3, 48_000, 1), (.g711a, 8000, 1),
      (.g711u, 8000, 1),
    ])
    func `sound becomes Opus of 20 ms that sounds as it did and when it did`(codec: Codec, rate: Int, channels: Int) async throws {
      let source = try SoundSource(codec, rate: rate, channels: channels, onset: 1, start: Int64(rate))
      let outputs = try await transcode(source.frames, source.format, to: .opus)
      let format = try #require(outputs.formats.first)
      #expect(outputs.formats.count == 1 && format.codec == .opus && format.channels == channels && format.timescale == 48_000)
      #expect(try OpusConfiguration(format.configuration).preSkip == 312)
      let frames = outputs.frames
      #expect(frames.allSatisfy { $0.track == 3 && $0.isKey && $0.pts == $0.dts })
      #expect(try frames.allSatisfy { try OpusConfiguration.duration(of: $0.payload) == 960 })
      #expect(zip(frames, frames.dropFirst()).allSatisfy { $1.pts - $0.pts == 960 })
      #expect(frames.first?.pts == MediaTime.rescale(source.frames[0].pts, from: Int32(rate), to: 48_000) - 312)
      let sound = try Sound(frames, format)
      let onset = try #require(sound.onset)
      #expect((1.995...2.005).contains(onset), "\(onset)")
      #expect((438...442).contains(sound.frequency(from: 2.2, to: 2.8)))
      if channels == 2 { #expect((876...884).contains(sound.frequency(1, from: 2.2, to: 2.8))) }
      print(codec, rate, channels, onset, sound.frequency(from: 2.2, to: 2.8))
    }
  }
#endif

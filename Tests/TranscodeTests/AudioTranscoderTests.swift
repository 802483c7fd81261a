#if Transcoding
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import TestSupport
  import Testing

  @Suite struct AudioTranscoderTests {
    @Test(arguments: [
      (Codec.aac, 48_000, 2), (.aac, 44_100, 2), (.aac, 22_050, 1), (.mp3, 44_100, 2), (.mp3, 48_000, 1), (.g711a, 8000, 1),
      (.g711u, 8000, 1), (.g722, 16_000, 1), (.opus, 48_000, 2),
    ])
    func `sound becomes Opus of 20 ms that sounds as it did and when it did`(codec: Codec, rate: Int, channels: Int) async throws {
      let source = try SoundSource(codec, rate: rate, channels: channels, onset: 1, start: Int64(rate))
      let outputs = try await AudioTranscoder.transcode(source.frames, source.format, to: .opus)
      let format = try #require(outputs.formats.first)
      #expect(outputs.formats.count == 1 && format.codec == .opus && format.channels == channels && format.timescale == 48_000)
      // RFC 7845 §4.2: the encoder's delay.
      #expect(try OpusConfiguration(format.configuration).preSkip == 312)
      let frames = outputs.frames
      #expect(frames.allSatisfy { $0.track == 3 && $0.isKey && $0.pts == $0.dts })
      #expect(try frames.allSatisfy { try OpusConfiguration.duration(of: $0.payload) == 960 })
      #expect(zip(frames, frames.dropFirst()).allSatisfy { $1.pts - $0.pts == 960 })
      #expect(frames.first?.pts == MediaTime.rescale(source.frames[0].pts, from: source.format.timescale, to: 48_000) - 312)
      try expectTone(Sound(frames, format), channels)
    }

    @Test(arguments: [(Codec.opus, 48_000, 2), (.opus, 48_000, 1), (.g711a, 8000, 1), (.g711u, 16_000, 2), (.g722, 16_000, 1)])
    func `sound becomes AAC at 48 kHz that sounds as it did and when it did`(codec: Codec, rate: Int, channels: Int) async throws {
      let source = try SoundSource(codec, rate: rate, channels: channels, onset: 1, start: Int64(rate))
      let outputs = try await AudioTranscoder.transcode(source.frames, source.format, to: .aac)
      let format = try #require(outputs.formats.first)
      #expect(format.codecString == "mp4a.40.2" && format.sampleRate == 48_000 && format.channels == channels)
      let frames = outputs.frames
      #expect(zip(frames, frames.dropFirst()).allSatisfy { $1.pts - $0.pts == 1024 })
      #expect(frames.first?.pts == MediaTime.rescale(source.frames[0].pts, from: source.format.timescale, to: 48_000) - 1024)
      try expectTone(Sound(frames, format), channels)
    }

    /// 440 Hz from the second second on, an octave higher in the second channel.
    private func expectTone(_ sound: Sound, _ channels: Int) throws {
      let onset = try #require(sound.onset)
      #expect((1.995...2.005).contains(onset), "\(onset)")
      #expect(sound.channels.count == channels)
      for channel in 0..<channels {
        let frequency = sound.frequency(channel, from: 2.2, to: 2.8)
        #expect(abs(frequency - 440 * Double(channel + 1)) < 2, "\(frequency)")
      }
    }

    @Test func `AAC to Opus and back keeps the time within 5 ms`() async throws {
      let source = try SoundSource(.aac, rate: 44_100, channels: 2, onset: 1, start: 44_100)
      let opus = try await AudioTranscoder.transcode(source.frames, source.format, to: .opus)
      let aac = try await AudioTranscoder.transcode(opus.frames, try #require(opus.formats.first), to: .aac)
      try expectTone(Sound(aac.frames, try #require(aac.formats.first)), 2)
    }

    @Test func `5,1 channels are mixed down to two`() async throws {
      let source = try SoundSource(.aac, rate: 48_000, channels: 6)
      let outputs = try await AudioTranscoder.transcode(source.frames, source.format, to: .opus)
      #expect(outputs.formats.first?.channels == 2 && outputs.failures.isEmpty)
    }

    @Test func `a source that changes its channels and rate is heard on in a new format`() async throws {
      let mono = try SoundSource(.aac, rate: 44_100, channels: 1)
      let stereo = try SoundSource(.aac, rate: 48_000, channels: 2, onset: 1, start: 48_000 * 2)
      let recorder = OutputRecorder()
      let transcoder = try AudioTranscoder(from: mono.format, to: .opus) { recorder.record($0) }
      for frame in mono.frames { transcoder.send(frame) }
      transcoder.setFormat(stereo.format)
      for frame in stereo.frames { transcoder.send(frame) }
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.formats.map(\.channels) == [1, 2])
      let changed = try #require(outputs.lastIndex { if case .format = $0 { true } else { false } })
      let onset = try #require(try Sound(Array(outputs[changed...]).frames, outputs.formats[1]).onset)
      #expect((2.995...3.005).contains(onset), "\(onset)")
    }

    @Test func `a change of codec under the same sound needs no new format`() async throws {
      let opus = try SoundSource(.opus, rate: 48_000, channels: 2, duration: 1)
      let aac = try SoundSource(.aac, rate: 48_000, channels: 2, duration: 1, start: 48_000)
      let recorder = OutputRecorder()
      let transcoder = try AudioTranscoder(from: opus.format, to: .aac) { recorder.record($0) }
      for frame in opus.frames { transcoder.send(frame) }
      transcoder.setFormat(aac.format)
      for frame in aac.frames { transcoder.send(frame) }
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.formats.count == 1 && outputs.failures.isEmpty)
      #expect(zip(outputs.frames, outputs.frames.dropFirst()).allSatisfy { $1.pts - $0.pts == 1024 })
    }

    @Test func `a codec that FFmpeg cannot make or read is refused at once`() throws {
      let aac = try SoundSource(.aac, rate: 48_000, duration: 0.1)
      #expect(throws: FFmpegError.self) { try AudioTranscoder(from: aac.format, to: .mp3) { _ in } }
      #expect(throws: FFmpegError.self) { try AudioTranscoder(from: .data, to: .opus) { _ in } }
      #expect(throws: FFmpegError.self) { try AudioTranscoder(from: TrackFormat(codec: .vp8, timescale: 1000), to: .opus) { _ in } }
    }
  }
#endif

#if Transcoding
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import TestSupport
  import Testing

  /// What the source's times do to the output's. G.711 has no delay and no memory, so sound stands exactly where it was put.
  @Suite struct AudioTimingTests {
    private func opus(_ frames: [Frame], _ format: TrackFormat) async throws -> (frames: [Frame], sound: Sound) {
      let outputs = try await AudioTranscoder.transcode(frames, format, to: .opus)
      #expect(outputs.failures.isEmpty && outputs.formats.count == 1)
      return (outputs.frames, try Sound(outputs.frames, try #require(outputs.formats.first)))
    }

    private func isSteady(_ frames: [Frame]) -> Bool { zip(frames, frames.dropFirst()).allSatisfy { $1.pts - $0.pts == 960 } }

    @Test func `half a second that is missing is silence`() async throws {
      let source = try SoundSource(.g711a, rate: 8000, start: 8000)
      let (frames, sound) = try await opus(source.frames.filter { !(12_000..<16_000 ~= $0.pts) }, source.format)
      #expect(isSteady(frames))
      let onsets = sound.crossings(above: 0.15)
      #expect(onsets.count == 2 && abs(onsets[0] - 1) < 0.005 && abs(onsets[1] - 2) < 0.005, "\(onsets)")
    }

    @Test func `a lost packet of 20 ms shifts nothing`() async throws {
      let source = try SoundSource(.g711a, rate: 8000, onset: 1)
      let (frames, sound) = try await opus(source.frames.filter { $0.pts != 4000 }, source.format)
      let onset = try #require(sound.onset)
      #expect(isSteady(frames) && abs(onset - 1) < 0.002, "\(onset)")
    }

    @Test func `behind more than a second of nothing the time line begins anew`() async throws {
      let source = try SoundSource(.g711a, rate: 8000)
      let late = source.frames.map { frame in
        var frame = frame
        if frame.pts >= 8000 { frame.pts += 80_000 }
        return frame
      }
      let (frames, sound) = try await opus(late, source.format)
      #expect(zip(frames, frames.dropFirst()).filter { $1.pts - $0.pts != 960 }.count == 1)
      let onsets = sound.crossings(above: 0.15)
      #expect(onsets.count == 2 && abs(onsets[0]) < 0.005 && abs(onsets[1] - 11) < 0.005, "\(onsets)")
    }

    @Test func `times that go back by less than a second cut, by more begin anew`() async throws {
      let source = try SoundSource(.g711a, rate: 8000)
      for (jump, isCut) in [(Int64(4000), true), (80_000, false)] {
        let back = source.frames.map { frame in
          var frame = frame
          if frame.pts >= 8000 { frame.pts -= jump }
          return frame
        }
        let (frames, _) = try await opus(back, source.format)
        #expect(isSteady(frames) == isCut)
        #expect(frames.last.map { abs($0.pts - (16_000 - jump) * 6) <= 960 } == true)
      }
    }

    @Test(arguments: [1.001, 0.999])
    func `a clock that drifts stretches the sound and keeps it in its place`(speed: Double) async throws {
      let source = try SoundSource(.g711u, rate: 8000, period: 1, duration: 30)
      let drifting = source.frames.map { frame in
        var frame = frame
        frame.pts = Int64((Double(frame.pts) * speed).rounded())
        return frame
      }
      let (frames, sound) = try await opus(drifting, source.format)
      #expect(isSteady(frames))
      let onsets = sound.crossings(above: 0.15)
      #expect(onsets.count == 30)
      for (second, onset) in onsets.enumerated() {
        #expect(abs(onset - Double(second) * speed) < 0.005, "\(onset)")
      }
    }

    /// FLV counts milliseconds, rounded or cut.
    @Test(arguments: [1.0, 7.0])
    func `times that are rounded or jitter leave the sound as it was`(jitter: Double) async throws {
      let source = try SoundSource(.aac, rate: 44_100, onset: 9, duration: 10)
      var random = SeededRandom(seed: 7)
      let rounded = source.frames.map { frame in
        var frame = frame
        let milliseconds = (Double(frame.pts) / 44.1 + Double.random(in: 0..<jitter, using: &random)).rounded(.down)
        frame.pts = Int64(milliseconds * 44.1)
        return frame
      }
      let (frames, sound) = try await opus(rounded, source.format)
      let onset = try #require(sound.onset)
      #expect(isSteady(frames) && abs(onset - 9) < 0.007, "\(onset)")
    }
  }
#endif

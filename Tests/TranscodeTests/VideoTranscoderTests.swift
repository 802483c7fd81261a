#if Transcoding
  import CFFmpeg
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Testing

  @Suite struct VideoTranscoderTests {
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
      let outputs = try await VideoTranscoder.transcode(source.frames, source.format)
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
      let outputs = try await VideoTranscoder.transcode(source.frames, source.format)
      let frames = outputs.frames
      #expect(zip(frames, frames.dropFirst()).allSatisfy { $0.dts < $1.dts && $1.pts == $1.dts })
      try expectSquares(frames, try #require(outputs.formats.first), count: 60, tick: 3000)
    }

    @Test(arguments: [Codec.vp8, .vp9, .av1, .hevc, .h264])
    func `a picture comes out before the next one goes in`(codec: Codec) async throws {
      let source = try VideoSource(codec, count: 10)
      let recorder = OutputRecorder()
      let transcoder = try VideoTranscoder(from: source.format) { recorder.record($0) }
      for (index, frame) in source.frames.enumerated() {
        transcoder.send(frame)
        await recorder.wait { $0.frames.count == index + 1 }
      }
      transcoder.stop()
    }

    @Test func `a key frame comes every two seconds, and when it is asked for`() async throws {
      // Two seconds and a half in one group of pictures.
      let source = try VideoSource(.vp8, count: 75)
      let recorder = OutputRecorder()
      let transcoder = try VideoTranscoder(from: source.format) { recorder.record($0) }
      for (index, frame) in source.frames.enumerated() {
        if index == 20 || index == 22 { transcoder.requestKeyFrame() }
        transcoder.send(frame)
        await recorder.wait { $0.frames.count == index + 1 }
      }
      transcoder.finish()
      let keys = await recorder.all().frames.enumerated().filter(\.element.isKey).map(\.offset)
      // The request behind the 22nd picture waits for a quarter of a second.
      #expect(keys.prefix(3) == [0, 20, 28], "\(keys)")
      let next = try await VideoTranscoder.transcode(source.frames, source.format).frames.enumerated().filter(\.element.isKey)
      #expect(next.map(\.offset) == [0, 60])
    }

    @Test func `a change of size is a new format and a key frame`() async throws {
      let small = try VideoSource(.vp8, count: 20)
      let large = try VideoSource(.vp8, width: 320, height: 180, count: 20, start: 20 * 3000)
      let outputs = try await VideoTranscoder.transcode(small.frames + large.frames, small.format)
      #expect(outputs.formats.map(\.width) == [256, 320])
      let changed = try #require(outputs.lastIndex { if case .format = $0 { true } else { false } })
      let frames = Array(outputs[changed...]).frames
      #expect(frames.first?.isKey == true && outputs.frames.count == 40)
      #expect(try SeenPicture.all(frames, outputs.formats[1]).map(\.width) == Array(repeating: 320, count: 20))
    }

    @Test(arguments: [Codec.vp9, .h264])
    func `a change of codec goes on at the next key frame`(codec: Codec) async throws {
      let first = try VideoSource(.hevc, count: 20, bFrames: 3)
      let second = try VideoSource(codec, count: 40, start: 20 * 3000)
      let recorder = OutputRecorder()
      let transcoder = try VideoTranscoder(from: first.format) { recorder.record($0) }
      for frame in first.frames { transcoder.send(frame) }
      transcoder.setFormat(second.format)
      for frame in second.frames.dropFirst() { transcoder.send(frame) }
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.keyFramesNeeded == 1)
      // All of the first, reordered ones included, and of the second its last ten.
      #expect(outputs.frames.map(\.pts) == (first.frames + second.frames.suffix(10)).map(\.pts).sorted())
    }

    @Test(arguments: [AV_PIX_FMT_YUV422P, AV_PIX_FMT_YUV444P])
    func `other pixel forms become 4,2,0`(pixelFormat: AVPixelFormat) async throws {
      let source = try VideoSource(.h264, count: 20, pixelFormat: pixelFormat)
      let outputs = try await VideoTranscoder.transcode(source.frames, source.format)
      try expectSquares(outputs.frames, try #require(outputs.formats.first), count: 20, tick: 3000)
    }

    @Test func `an odd size loses its last row and column`() async throws {
      let source = try VideoSource(.vp8, width: 255, height: 143, count: 5)
      let outputs = try await VideoTranscoder.transcode(source.frames, source.format)
      let format = try #require(outputs.formats.first)
      #expect(format.width == 254 && format.height == 142 && outputs.frames.count == 5)
    }

    @Test func `times that stand still or step back a little cost their picture, a jump back does not`() async throws {
      let source = try VideoSource(.vp8, count: 40)
      var frames = source.frames
      frames[10].pts = frames[9].pts
      frames[11].pts = frames[9].pts - 3000
      for index in 20..<40 { frames[index].pts -= 1_000_000 }
      let outputs = try await VideoTranscoder.transcode(frames, source.format)
      var expected = frames
      expected.removeSubrange(10...11)
      #expect(outputs.frames.map(\.pts) == expected.map(\.pts))
      #expect(outputs.frames[18].isKey)
    }
  }
#endif

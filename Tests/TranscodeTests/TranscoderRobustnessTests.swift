#if Transcoding
  import Dispatch
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Synchronization
  import TestSupport
  import Testing

  /// What a source can do to a transcoder, and what its owner can.
  @Suite struct TranscoderRobustnessTests {
    /// Holds a delivery, and with it the thread, until it is opened.
    private final class Gate: Sendable {
      private let passage = DispatchSemaphore(value: 0)
      private let state = Mutex<(hasArrived: Bool, arrival: CheckedContinuation<Void, Never>?)>((false, nil))

      func pass() {
        state.withLock { state in
          state.hasArrived = true
          state.arrival.take()?.resume()
        }
        passage.wait()
        passage.signal()
      }

      func open() { passage.signal() }

      func arrival() async {
        await withCheckedContinuation { continuation in
          state.withLock { state in
            if state.hasArrived { continuation.resume() } else { state.arrival = continuation }
          }
        }
      }
    }

    @Test func `a full audio queue drops the oldest frames and counts them`() async throws {
      let source = try SoundSource(.g711a, rate: 8000)
      let (recorder, gate) = (OutputRecorder(), Gate())
      var configuration = AudioTranscoder.Configuration()
      configuration.limits.queuedFrames = 10
      let transcoder = try AudioTranscoder(from: source.format, to: .opus, configuration) { output in
        gate.pass()
        recorder.record(output)
      }
      transcoder.send(source.frames[0])
      await gate.arrival()
      for frame in source.frames[1...] { transcoder.send(frame) }
      #expect(transcoder.statistics.dropped == source.frames.count - 11)
      gate.open()
      transcoder.finish()
      let outputs = await recorder.all()
      // The first frame and the last ten, on two time lines since more than a second lies between them.
      #expect(abs((outputs.frames.last?.pts ?? 0) - 2 * 48_000) <= 960)
      #expect(transcoder.statistics.framesIn == source.frames.count && transcoder.statistics.framesOut == outputs.frames.count)
    }

    @Test func `a full video queue drops up to the next key frame`() async throws {
      let source = try VideoSource(.h264, count: 60)
      #expect(source.frames.indices.filter { source.frames[$0].isKey } == [0, 30])
      let (recorder, gate) = (OutputRecorder(), Gate())
      var configuration = VideoTranscoder.Configuration()
      configuration.limits.queuedFrames = 40
      let transcoder = try VideoTranscoder(from: source.format, configuration) { output in
        gate.pass()
        recorder.record(output)
      }
      transcoder.send(source.frames[0])
      await gate.arrival()
      for frame in source.frames[1...] { transcoder.send(frame) }
      #expect(transcoder.statistics.dropped == 29)
      gate.open()
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.frames.map(\.pts) == ([source.frames[0]] + source.frames[30...]).map(\.pts))
      #expect(outputs.keyFramesNeeded == 0)
    }

    @Test func `a video queue that finds no key frame asks for one and waits for it`() async throws {
      let source = try VideoSource(.h264, count: 60)
      let (recorder, gate) = (OutputRecorder(), Gate())
      var configuration = VideoTranscoder.Configuration()
      configuration.limits.queuedFrames = 5
      let transcoder = try VideoTranscoder(from: source.format, configuration) { output in
        gate.pass()
        recorder.record(output)
      }
      transcoder.send(source.frames[0])
      await gate.arrival()
      for frame in source.frames[1..<33] { transcoder.send(frame) }
      gate.open()
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.keyFramesNeeded == 1)
      #expect(outputs.frames.map(\.pts) == ([source.frames[0]] + source.frames[30..<33]).map(\.pts))
    }

    @Test func `frames without bytes or above the limit are dropped`() async throws {
      let source = try VideoSource(.vp8, count: 5)
      var frames = source.frames
      frames[1].payload = Slice()
      frames[2].payload = Slice([UInt8](repeating: 7, count: 100_000))
      var configuration = VideoTranscoder.Configuration()
      configuration.limits.frameBytes = 50_000
      let outputs = try await VideoTranscoder.transcode(frames, source.format, configuration)
      #expect(outputs.frames.count == 3 && outputs.warnings.isEmpty)
    }

    @Test func `a picture above the limit is damage, not memory`() async throws {
      let source = try VideoSource(.vp8, count: 5)
      var configuration = VideoTranscoder.Configuration()
      (configuration.limits.width, configuration.limits.height) = (128, 128)
      let outputs = try await VideoTranscoder.transcode(source.frames, source.format, configuration)
      #expect(outputs.frames.isEmpty && outputs.warnings.count == 1 && outputs.keyFramesNeeded == 1)
    }

    @Test func `a decoder that fails too often is given up, once, until the format changes`() async throws {
      let source = try SoundSource(.aac, rate: 48_000, channels: 2)
      var configuration = AudioTranscoder.Configuration()
      configuration.limits.failuresInARow = 20
      let recorder = OutputRecorder()
      let transcoder = try AudioTranscoder(from: source.format, to: .opus, configuration) { recorder.record($0) }
      let garbage = Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: Slice([UInt8](repeating: 0xff, count: 200)))
      for _ in 0..<50 { transcoder.send(garbage) }
      transcoder.setFormat(source.format)
      for frame in source.frames { transcoder.send(frame) }
      transcoder.finish()
      let outputs = await recorder.all()
      #expect(outputs.warnings.count == 1 && outputs.failures.count == 1)
      #expect(transcoder.statistics.damaged == 20 && outputs.frames.count > 90)
    }

    @Test(arguments: [Codec.vp8, .vp9, .av1, .hevc, .h264])
    func `damaged pictures end nothing`(codec: Codec) async throws {
      let source = try VideoSource(codec, count: 60, bFrames: codec == .h264 ? 2 : 0)
      for seed in UInt64(0)..<20 {
        var random = SeededRandom(seed: seed)
        let frames = source.frames.enumerated().map { index, frame in
          1..<30 ~= index ? Self.damaged(frame, &random) : frame
        }
        let outputs = try await VideoTranscoder.transcode(frames, source.format)
        #expect(outputs.failures.isEmpty)
        #expect(outputs.frames.suffix(20).map(\.pts) == source.frames.map(\.pts).sorted().suffix(20))
        #expect(zip(outputs.frames, outputs.frames.dropFirst()).allSatisfy { $0.pts < $1.pts })
      }
    }

    @Test(arguments: [Codec.aac, .mp3, .opus, .g711a])
    func `damaged sound ends nothing`(codec: Codec) async throws {
      let source = try SoundSource(codec, rate: codec == .g711a ? 8000 : 48_000)
      for seed in UInt64(0)..<20 {
        var random = SeededRandom(seed: seed)
        let frames = source.frames.enumerated().map { index, frame in
          10..<60 ~= index ? Self.damaged(frame, &random) : frame
        }
        let outputs = try await AudioTranscoder.transcode(frames, source.format, to: codec == .opus ? .aac : .opus)
        #expect(outputs.failures.isEmpty)
        #expect(abs((outputs.frames.last?.pts ?? 0) - 2 * 48_000) < 4096)
      }
    }

    /// Cut short or with bytes changed.
    private static func damaged(_ frame: Frame, _ random: inout SeededRandom) -> Frame {
      var frame = frame
      var bytes = frame.payload.array
      if Bool.random(using: &random) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
      } else {
        for _ in 0..<8 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      }
      frame.payload = Slice(bytes)
      return frame
    }

    @Test func `times at the ends of their range end nothing`() async throws {
      let sound = try SoundSource(.g711a, rate: 8000, duration: 0.2)
      let video = try VideoSource(.vp8, count: 10)
      let times: [Int64] = [.min, .max, 0, .max, -1, .min, .max - 1, 5, .min + 1, 7]
      func strange(_ frames: [Frame]) -> [Frame] {
        zip(frames, times).map { frame, time in
          var frame = frame
          (frame.pts, frame.dts) = (time, time)
          return frame
        }
      }
      for timescale in [Int32.max, 1, 0, -5, .min] {
        var (soundFormat, videoFormat) = (sound.format, video.format)
        (soundFormat.timescale, videoFormat.timescale) = (timescale, timescale)
        #expect(try await AudioTranscoder.transcode(strange(sound.frames), soundFormat, to: .opus).failures.isEmpty)
        #expect(try await VideoTranscoder.transcode(strange(video.frames), videoFormat).failures.isEmpty)
      }
    }

    @Test func `formats that make no sense are failures or damage`() async throws {
      let sound = try SoundSource(.aac, rate: 48_000, duration: 0.2)
      let video = try VideoSource(.h264, count: 5)
      for configuration in [Slice(), [1], [0xff, 0xff, 0xff], Slice([UInt8](repeating: 0x5a, count: 300))] {
        for codec in Codec.allCases {
          var format = TrackFormat(codec: codec, timescale: 48_000, configuration: configuration)
          (format.sampleRate, format.channels, format.frameRate) = (Int.max, -3, .nan)
          if codec.kind == .audio { _ = try await AudioTranscoder.transcode(sound.frames, format, to: .aac) }
          if codec.kind == .video { _ = try await VideoTranscoder.transcode(video.frames, format) }
        }
      }
    }

    @Test func `transcoders can be stopped or let go with frames in flight`() async throws {
      let source = try VideoSource(.vp8, count: 30)
      let sound = try SoundSource(.aac, rate: 48_000)
      for index in 0..<20 {
        let video = try VideoTranscoder(from: source.format) { _ in }
        let audio = try AudioTranscoder(from: sound.format, to: .opus) { _ in }
        for frame in source.frames { video.send(frame) }
        for frame in sound.frames { audio.send(frame) }
        if index % 2 == 0 {
          video.stop()
          audio.stop()
          audio.stop()
          video.send(source.frames[0])
        }
      }
    }
  }
#endif

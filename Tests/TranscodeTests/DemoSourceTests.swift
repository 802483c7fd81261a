#if Transcoding
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Testing

  @Suite struct DemoSourceTests {
    @Test func `two seconds hold one key frame a GOP, sound beside the picture, and times that grow`() throws {
      var configuration = DemoSource.Configuration()
      (configuration.width, configuration.height) = (320, 180)
      let source = try DemoSource(configuration)
      #expect(source.formats[0].codec == .h264 && source.formats[0].width == 320)
      #expect(source.formats[1].codec == .aac && source.formats[1].sampleRate == 48_000)
      var frames: [Frame] = []
      for _ in 0..<61 { frames += try source.next(wallTime: WallTime(milliseconds: 1_700_000_000_000)) }
      let video = frames.filter { $0.track == 0 }
      let audio = frames.filter { $0.track == 1 }
      #expect(video.count == 61 && video.filter(\.isKey).count == 2)
      #expect((94...97).contains(audio.count))
      #expect(zip(video, video.dropFirst()).allSatisfy { $0.dts < $1.dts })
      #expect(zip(audio, audio.dropFirst()).allSatisfy { $1.dts - $0.dts == 1024 })
    }
  }
#endif

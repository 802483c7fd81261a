#if Transcoding
  import MartletCodecs
  import MartletPrimitives
  import MartletTranscode
  import Testing

  @Suite struct SnapshotTests {
    private func keyFrame() throws -> (Frame, TrackFormat) {
      let source = try DemoSource()
      let frame = try source.next(wallTime: WallTime(milliseconds: 0)).first { $0.track == 0 && $0.isKey }
      return (try #require(frame), source.formats[0])
    }

    @Test func `a key frame becomes a JPEG of its own size`() throws {
      let (frame, format) = try keyFrame()
      let jpeg = try Snapshot().jpeg(frame, format).array
      #expect(jpeg.prefix(3) == [0xff, 0xd8, 0xff])
      #expect(jpeg.suffix(2) == [0xff, 0xd9])
      // ITU-T T.81 §B.2.2: SOF0 holds height and width.
      let start = try #require(jpeg.indices.first { $0 + 8 < jpeg.count && jpeg[$0] == 0xff && jpeg[$0 + 1] == 0xc0 })
      #expect(Int(jpeg[start + 5]) << 8 | Int(jpeg[start + 6]) == 720)
      #expect(Int(jpeg[start + 7]) << 8 | Int(jpeg[start + 8]) == 1280)
    }

    @Test func `a picture beyond the limit is refused`() throws {
      let (frame, format) = try keyFrame()
      var snapshot = Snapshot()
      snapshot.limits.width = 640
      snapshot.limits.height = 480
      #expect(throws: FFmpegError.self) { try snapshot.jpeg(frame, format) }
    }

    @Test func `damaged frames and configurations are errors`() throws {
      let (frame, format) = try keyFrame()
      for count in stride(from: 0, to: frame.payload.count, by: 997) {
        var cut = frame
        cut.payload = frame.payload.sub(0..<count)
        _ = try? Snapshot().jpeg(cut, format)
      }
      var empty = format
      empty.configuration = Slice()
      _ = try? Snapshot().jpeg(frame, empty)
      #expect(throws: FFmpegError.self) { try Snapshot().jpeg(frame, TrackFormat(codec: .aac, timescale: 1)) }
    }
  }
#endif

import MartletCodecs
import MartletMedia
import MartletPrimitives
import Testing

@Suite struct FrameCacheTests {
  private let audio = TrackFormat(codec: .aac, timescale: 48_000)
  private let video = TrackFormat(codec: .h264, timescale: 90_000)

  private func frame(_ time: Int64, isKey: Bool = true) -> Frame {
    Frame(track: 0, dts: time, pts: time, isKey: isKey, payload: Slice([UInt8(truncatingIfNeeded: time)]))
  }

  @Test func `whoever comes in between begins at a key picture, without pictures at any sound, never at data`() {
    #expect(frame(0).isJoinPoint(video, hasVideo: true))
    #expect(!frame(0, isKey: false).isJoinPoint(video, hasVideo: true))
    #expect(!frame(0).isJoinPoint(audio, hasVideo: true))
    #expect(frame(0).isJoinPoint(audio, hasVideo: false))
    #expect(!frame(0).isJoinPoint(.data, hasVideo: true))
    #expect(!frame(0).isJoinPoint(.data, hasVideo: false))
  }

  @Test func `data behind a sound does not push the sound out of the cache`() {
    var cache = FrameCache()
    for (time, format) in [(0, TrackFormat.data), (1, audio), (2, .data), (3, .data)] {
      let frame = frame(Int64(time))
      cache.append(frame, restarts: frame.isJoinPoint(format, hasVideo: false))
    }
    #expect(cache.frames.map(\.dts) == [1, 2, 3])
  }
}

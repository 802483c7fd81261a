import MartletCodecs
import MartletMedia
import MartletPrimitives
import Testing

@Suite struct TimelineTests {
  private func frame(_ track: UInt8, _ dts: Int64, _ ahead: Int64 = 0) -> Frame {
    Frame(track: track, dts: dts, pts: dts + ahead, isKey: true, payload: Slice())
  }

  @Test func `times of a well-behaved publisher are left alone`() {
    var line = Timeline()
    for n in 0..<100 {
      let placed = line.place(frame(0, Int64(n) * 40, 80), timescale: 1000)
      #expect(placed.dts == Int64(n) * 40 && placed.pts == placed.dts + 80)
    }
    #expect(line.jumps == 0)
  }

  @Test func `the next publisher goes on where the last one stopped, with the same shift for both tracks`() {
    var line = Timeline()
    _ = line.place(frame(0, 5000), timescale: 1000)
    _ = line.place(frame(1, 48_000 * 5), timescale: 48_000)
    line.republish(after: .milliseconds(2000))
    let video = line.place(frame(0, 0), timescale: 1000)
    let audio = line.place(frame(1, 480), timescale: 48_000)
    #expect(video.dts == 7000)
    #expect(audio.dts == 48_000 * 7 + 480)
  }

  @Test func `a clock that jumps moves once, and lip sync holds`() {
    var line = Timeline()
    _ = line.place(frame(0, 1000), timescale: 1000)
    _ = line.place(frame(1, 48_000), timescale: 48_000)
    let video = line.place(frame(0, 1_000_000), timescale: 1000)
    let lateAudio = line.place(frame(1, 48_000 + 1024), timescale: 48_000)
    let audio = line.place(frame(1, 48_000 * 1000), timescale: 48_000)
    #expect(video.dts == 1033)
    #expect(lateAudio.dts == 48_000 + 1024)
    #expect(audio.dts == 48_000 * 1033 / 1000)
    #expect(line.jumps == 1)
  }

  @Test func `a small step back is clamped so that decode times grow`() {
    var line = Timeline()
    _ = line.place(frame(0, 1000), timescale: 1000)
    let placed = line.place(frame(0, 990, 40), timescale: 1000)
    #expect(placed.dts == 1001 && placed.pts == 1030)
  }

  @Test(arguments: [Int64.min, .max, .min / 2, 1 << 62]) func `absurd times do not trap`(_ dts: Int64) {
    var line = Timeline()
    _ = line.place(frame(0, 0), timescale: 90_000)
    _ = line.place(frame(0, dts), timescale: 90_000)
    let placed = line.place(frame(0, 3000), timescale: 90_000)
    #expect(placed.dts > 0)
  }
}

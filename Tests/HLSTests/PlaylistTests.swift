import MartletCodecs
import MartletHLS
import MartletPrimitives
import Testing

private func segment(_ seconds: Double, bytes: Int = 1000, at milliseconds: Int64 = 0, discontinuity: Bool = false) -> Segment {
  Segment(
    bytes: Slice([UInt8](repeating: 1, count: bytes)), duration: .seconds(seconds), date: WallTime(milliseconds: milliseconds),
    isDiscontinuity: discontinuity)
}

@Suite struct MediaPlaylistTests {
  // RFC 8216 §4.3.2 and §4.3.3.
  @Test func `a live playlist byte for byte`() {
    var window = Window(epoch: "k3x")
    window.append(segment(2, at: 1_709_210_096_007))
    window.append(segment(2.0004, at: 1_709_210_098_007))
    window.append(segment(3.5004, at: 0, discontinuity: true))
    #expect(
      MediaPlaylist.write(window, .init(prefix: "cam/")) == """
        #EXTM3U
        #EXT-X-VERSION:3
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-TARGETDURATION:4
        #EXT-X-MEDIA-SEQUENCE:0
        #EXT-X-PROGRAM-DATE-TIME:2024-02-29T12:34:56.007Z
        #EXTINF:2.000,
        cam/k3x-0.ts
        #EXT-X-PROGRAM-DATE-TIME:2024-02-29T12:34:58.007Z
        #EXTINF:2.000,
        cam/k3x-1.ts
        #EXT-X-DISCONTINUITY
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z
        #EXTINF:3.500,
        cam/k3x-2.ts

        """)
  }

  @Test func `an ended playlist with a CDN and a token`() {
    var window = Window(epoch: "e")
    var first = segment(2)
    first.isIndependent = false
    window.append(first)
    window.end()
    let text = MediaPlaylist.write(
      window, .init(prefix: "my cam?#%/", baseURL: "https://cdn.example/live/", query: "token=a%20b&x=\"\n#EXTM3U"))
    #expect(
      text == """
        #EXTM3U
        #EXT-X-VERSION:3
        #EXT-X-TARGETDURATION:2
        #EXT-X-MEDIA-SEQUENCE:0
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z
        #EXTINF:2.000,
        https://cdn.example/live/my%20cam%3F%23%25/e-0.ts?token=a%20b&x=%22%0A#EXTM3U
        #EXT-X-ENDLIST

        """)
  }

  @Test func `an empty playlist is still one`() {
    #expect(
      MediaPlaylist.write(Window(epoch: "e"), .init(prefix: ""))
        == "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n")
  }
}

@Suite struct MultivariantPlaylistTests {
  // RFC 8216 §4.3.4.2.
  @Test func `variants byte for byte`() throws {
    let video = try TrackFormat.h264(avcC: avcC)
    let audio = try TrackFormat.aac([0x11, 0x90])
    let mp3 = TrackFormat(codec: .mp3, timescale: 44100, codecString: "mp3")
    let text = MultivariantPlaylist.write(
      [
        .init(path: "cam/index.m3u8", peakBitRate: 900_000, averageBitRate: 800_000, formats: [video, audio]),
        .init(path: "radio.m3u8", peakBitRate: 0, averageBitRate: 0, formats: [mp3]),
      ], query: "token=t")
    #expect(
      text == """
        #EXTM3U
        #EXT-X-VERSION:3
        #EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=800000,CODECS="avc1.64000c,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=25.000
        cam/index.m3u8?token=t
        #EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="mp4a.40.34"
        radio.m3u8?token=t

        """)
  }
}

@Suite struct WindowTests {
  // RFC 8216 §6.2.2: sequence numbers grow by one; what leaves stays fetchable for a window.
  @Test func `the window slides, and segments stay one window longer`() {
    var window = Window(epoch: "e")
    var freed: [UInt64] = []
    for _ in 0..<40 { freed += window.append(segment(2)) }
    #expect(window.listed.count == 15 && window.mediaSequence == 25 && window.listed.map(\.sequence) == Array(25..<40))
    #expect(freed == Array(0..<10))
    let found = [9, 10, 25, 39, 40].map { window.segment($0) != nil }
    #expect(found == [false, true, true, true, false])
    #expect(window.byteCount == 30_000 && window.averageBitRate == 4000 && window.peakBitRate == 4000)
  }

  @Test func `a playlist never falls below three target durations`() {
    var limits = Window.Limits()
    limits.duration = .seconds(4)
    var window = Window(epoch: "e", limits: limits)
    for _ in 0..<10 { window.append(segment(5)) }
    #expect(window.targetDuration == 5 && window.listed.count == 3)
  }

  // §4.3.3.1: at least every EXTINF; §6.2.1: it does not change without need.
  @Test func `the target duration never shrinks`() {
    var window = Window(epoch: "e")
    #expect(window.targetDuration == 2)
    window.append(segment(7.2))
    for _ in 0..<50 { window.append(segment(2)) }
    #expect(window.targetDuration == 8 && !window.listed.contains { $0.sequence == 0 })
  }

  // §6.2.2.
  @Test func `discontinuities that leave are counted`() {
    var window = Window(epoch: "e")
    window.append(segment(2, discontinuity: true))
    for _ in 0..<3 { window.append(segment(2)) }
    window.append(segment(2, discontinuity: true))
    #expect(window.discontinuitySequence == 0)
    for _ in 0..<15 { window.append(segment(2)) }
    #expect(window.discontinuitySequence == 1)
    let text = MediaPlaylist.write(window, .init(prefix: ""))
    #expect(text.contains("#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n") && !text.contains("#EXT-X-DISCONTINUITY\n"))
  }

  @Test func `sequence numbers go on when a publisher returns after the end`() {
    var window = Window(epoch: "e")
    window.append(segment(2))
    window.end()
    #expect(window.isEnded)
    window.append(segment(2))
    #expect(!window.isEnded && window.listed.map(\.sequence) == [0, 1] && window.listed[1].segment.isDiscontinuity)
  }

  @Test func `bytes are bounded, the last segment stays`() {
    var limits = Window.Limits()
    limits.bytes = 10_000
    var window = Window(epoch: "e", limits: limits)
    for _ in 0..<30 { window.append(segment(2)) }
    #expect(window.byteCount == 10_000 && window.listed.count == 10)
    let freed = window.append(segment(2, bytes: 50_000))
    #expect(window.listed.count == 1 && freed.count == 10 && window.segment(30) != nil)
  }

  @Test func `only this epoch's names are segments`() {
    let window = Window(epoch: "k3x")
    let names = ["k3x-17.ts", "k3x-017.ts", "k3y-17.ts", "k3x-.ts", "k3x-1.mp4", "k3x-18446744073709551616.ts", "../k3x-1.ts", "k3x--1.ts"]
    #expect(names.map { window.sequence(inName: $0) } == [17] + Array(repeating: nil, count: 7))
  }
}

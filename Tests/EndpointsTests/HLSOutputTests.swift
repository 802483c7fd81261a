import MartletCodecs
@testable import MartletEndpoints
import MartletMedia
import MartletPrimitives
import Testing

/// A stream of one audio and one video track, a key frame each two seconds, on a clock of its own.
private final class Show {
  static let epoch = "6b00744e0000002a1"
  let path = try? StreamPath("live/cam")
  let catalog = HLSCatalog(loops: [], start: WallTime(milliseconds: 0x6b00_744e * 1000), random: 0x2a)
  private(set) var output: HLSOutput?
  private var time: Int64 = 0
  private var configuration: HLSConfiguration

  init(_ configuration: HLSConfiguration = HLSConfiguration()) {
    self.configuration = configuration
    begin()
  }

  /// A new output, as of a new stream of this name.
  func begin() {
    guard let path else { return }
    output = HLSOutput(path, configuration, catalog: catalog, disk: nil) { [unowned self] in WallTime(milliseconds: self.time) }
    output?.start()
  }

  func configure() { output?.configure([Self.audio]) }

  /// Seconds of sound, in frames of 20 ms.
  func play(_ seconds: Int) {
    for _ in 0..<seconds * 50 {
      output?.receive(Frame(track: 0, dts: time, pts: time, isKey: true, payload: Slice([UInt8](repeating: 7, count: 100))))
      time += 20
    }
  }

  static var audio: TrackFormat {
    var format = TrackFormat(codec: .aac, timescale: 1000, configuration: [0x11, 0x90], codecString: "mp4a.40.2")
    (format.sampleRate, format.channels) = (48000, 2)
    return format
  }

  var presentation: HLSPresentation? { path.flatMap { catalog.presentation($0) } }
  var playlist: String { path.flatMap { presentation?.mediaPlaylist($0, baseURL: configuration.segmentBaseURL) } ?? "" }
  var names: [String] { playlist.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(String.init) }
}

@Suite struct HLSOutputTests {
  // RFC 8216 §4.3: the whole text, from the first segment to the end of the stream.
  @Test func `the playlist of a stream byte for byte`() {
    let show = Show()
    show.configure()
    #expect(show.presentation?.isReady == false)
    show.play(5)
    #expect(show.presentation?.isReady == true)
    show.output?.end()
    #expect(
      show.playlist == """
        #EXTM3U
        #EXT-X-VERSION:3
        #EXT-X-INDEPENDENT-SEGMENTS
        #EXT-X-TARGETDURATION:2
        #EXT-X-MEDIA-SEQUENCE:0
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z
        #EXTINF:1.900,
        \(Show.epoch)-0.ts
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.900Z
        #EXTINF:1.900,
        \(Show.epoch)-1.ts
        #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:03.800Z
        #EXTINF:1.200,
        \(Show.epoch)-2.ts
        #EXT-X-ENDLIST

        """)
  }

  @Test func `a publisher that returns with the same tracks goes on behind a discontinuity`() {
    let show = Show()
    show.configure()
    show.play(4)
    show.output?.pause()
    let before = show.names
    show.play(4)
    #expect(Array(show.names.prefix(before.count)) == before)
    #expect(show.names.count > before.count)
    #expect(show.playlist.contains("#EXT-X-DISCONTINUITY\n"))
    #expect(!show.playlist.contains("ENDLIST"))
  }

  @Test func `a stream that comes again after its end continues the numbers, and is not ready before its first segment`() {
    let show = Show()
    show.configure()
    show.play(4)
    show.output?.end()
    let before = show.names
    #expect(show.playlist.hasSuffix("#EXT-X-ENDLIST\n"))
    show.begin()
    show.configure()
    #expect(show.presentation?.isReady == false)
    show.play(2)
    #expect(show.presentation?.isReady == true)
    #expect(Array(show.names.prefix(before.count)) == before)
    #expect(show.names.last == "\(Show.epoch)-\(before.count).ts")
    #expect(show.playlist.contains("#EXT-X-DISCONTINUITY\n"))
  }

  @Test func `an output that nobody watches frees its segments, and its numbers go on`() {
    let show = Show()
    show.configure()
    show.play(6)
    let count = show.names.count
    show.output?.stop()
    #expect(show.names.isEmpty)
    #expect(show.presentation?.isReady == false)
    show.output?.start()
    show.configure()
    show.play(2)
    #expect(show.names == ["\(Show.epoch)-\(count).ts"])
  }

  @Test func `what nobody took up again is forgotten, and the next window has an epoch of its own`() {
    let show = Show()
    show.configure()
    show.play(4)
    let old = show.output
    old?.end()
    old?.forget()
    #expect(show.presentation == nil)
    show.begin()
    show.configure()
    show.play(2)
    #expect(show.names.first?.hasSuffix("2-0.ts") == true)
    // The first output's timer changes nothing any more.
    old?.forget()
    #expect(show.presentation != nil)
  }

  @Test func `a CDN's address stands before the stream's path`() {
    var configuration = HLSConfiguration()
    configuration.segmentBaseURL = "https://cdn.example/"
    let show = Show(configuration)
    show.configure()
    show.play(2)
    #expect(show.names == ["https://cdn.example/live/cam/\(Show.epoch)-0.ts"])
  }

  @Test func `a codec that MPEG-TS cannot carry is refused with a sentence`() {
    let show = Show()
    show.output?.configure([TrackFormat(codec: .av1, timescale: 1000)])
    #expect(show.presentation?.isReady == true)
    #expect(show.presentation?.refusal?.contains(".mp4") == true)
  }
}

@Suite struct HLSAddressTests {
  @Test func `paths of playlists and segments`() throws {
    let cam = try StreamPath("live/cam")
    #expect(HLSAddress("/live/cam.m3u8") == .multivariant(cam))
    #expect(HLSAddress("/live/cam/index.m3u8") == .media(cam))
    #expect(HLSAddress("/live/index.m3u8") == .multivariant(try StreamPath("live/index")))
    let name = "\(Show.epoch)-17.ts"
    #expect(HLSAddress("/live/cam/\(name)") == .segment(cam, name: name))
  }

  @Test(arguments: ["/live/cam.ts", "/live/cam", "/cam.m3u8", "/live/cam/part-1.ts", "/live/6b00744e0000002a1-1.ts", "/live/../x.m3u8"])
  func `other paths belong to others`(path: String) { #expect(HLSAddress(path) == nil) }

  @Test func `epochs of two starts and two windows differ`() {
    let start = WallTime(milliseconds: 1_795_000_000_000)
    let one = HLSAddress.epoch(start: start, random: 1, count: 1)
    #expect(one == "6afd86c0000000011")
    #expect(one != HLSAddress.epoch(start: start, random: 2, count: 1))
    #expect(one != HLSAddress.epoch(start: start, random: 1, count: 2))
    #expect(HLSAddress.isSegmentName("\(one)-0.ts"))
  }
}

@Suite struct HLSPermitsTests {
  @Test func `a permission holds for a moment, and a visit is told once a second`() throws {
    let path = try StreamPath("live/cam")
    let address = try #require(SocketAddress("192.0.2.1:5000"))
    let key = HLSViewerKey(AccessRequest(.play, on: path.text, transport: "hls", remote: address), path: path)
    let now = Instant(nanoseconds: 5)
    var permits = HLSPermits()
    #expect(!permits.isAllowed(key, now: now))
    permits.allow(key, user: "ann", tokenID: nil, expires: nil, now: now)
    #expect(permits.isAllowed(key, now: now + .seconds(9)))
    #expect(!permits.isAllowed(key, now: now + .seconds(10)))
    let first = permits.visit(key, bytes: 10, now: now)
    #expect(first?.bytes == 10 && first?.user == "ann")
    let second = permits.visit(key, bytes: 20, now: now + .milliseconds(500))
    #expect(second == nil)
    let third = permits.visit(key, bytes: 30, now: now + .seconds(1))
    #expect(third?.bytes == 50)
  }

  @Test func `viewers are told apart by token, else by address and user agent`() throws {
    let path = try StreamPath("live/cam")
    func key(_ address: String, token: String? = nil, agent: String? = nil) throws -> HLSViewerKey {
      let remote = try #require(SocketAddress(address))
      return HLSViewerKey(
        AccessRequest(.play, on: path.text, transport: "hls", remote: remote, token: token, userAgent: agent), path: path)
    }
    #expect(try key("192.0.2.1:1") == key("192.0.2.1:2"))
    #expect(try key("192.0.2.1:1", agent: "a") != key("192.0.2.1:1", agent: "b"))
    #expect(try key("192.0.2.1:1", token: "t") == key("192.0.2.9:1", token: "t"))
  }
}

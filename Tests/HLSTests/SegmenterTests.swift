import Foundation
import MartletCodecs
import MartletContainers
import MartletHLS
import MartletPrimitives
import TestSupport
import Testing

let avcC = Slice(Hex.decode("0164000cffe1001a6764000cacd941419f9f011000000300100000030320f142996001000568ef839cb0fdf8f800") ?? [])

/// A synthetic publisher: 25 pictures a second, a key frame every `group`, AAC at 48 kHz beside them.
struct Publisher {
  var segmenter: Segmenter
  var segments: [Segment] = []
  let formats: [TrackFormat]

  init(_ configuration: Segmenter.Configuration = .init(), hasVideo: Bool = true, hasAudio: Bool = true) throws {
    segmenter = Segmenter(configuration)
    formats = (hasVideo ? [try TrackFormat.h264(avcC: avcC)] : []) + (hasAudio ? [try TrackFormat.aac([0x11, 0x90])] : [])
    try start()
  }

  mutating func start() throws { if let segment = try segmenter.start(formats) { segments.append(segment) } }

  mutating func picture(_ time: Int, isKey: Bool, wall: Int? = nil, bytes: Int = 8) {
    let payload: [UInt8] = [0, 0, 0, UInt8(min(bytes, 250))] + [isKey ? 0x65 : 0x41] + [UInt8](repeating: 7, count: min(bytes, 250) - 1)
    receive(Frame(track: 0, dts: Int64(time), pts: Int64(time), isKey: isKey, payload: Slice(payload)), wall ?? time)
  }

  mutating func sound(_ time: Int, wall: Int? = nil) {
    let ticks = Int64(time) * 48
    receive(Frame(track: UInt8(formats.count - 1), dts: ticks, pts: ticks, isKey: true, payload: [0x21, 0x10, 5]), wall ?? time)
  }

  private mutating func receive(_ frame: Frame, _ wall: Int) {
    if let segment = segmenter.receive(frame, date: WallTime(milliseconds: Int64(wall))) { segments.append(segment) }
  }

  /// Milliseconds `range`, with both tracks.
  mutating func play(_ range: Range<Int>, group: Int, video: Bool = true) {
    for time in stride(from: range.lowerBound, to: range.upperBound, by: 40) {
      if video, formats[0].kind == .video { picture(time, isKey: (time - range.lowerBound) % group == 0) }
      if formats.last?.kind == .audio {
        sound(time)
        sound(time + 20)
      }
    }
  }

  mutating func finish() { if let segment = segmenter.finish() { segments.append(segment) } }

  /// Milliseconds.
  var durations: [Int64] { segments.map(\.duration.milliseconds) }
}

@Suite struct SegmenterTests {
  @Test func `a cut comes at the first key frame after the target`() throws {
    var publisher = try Publisher()
    publisher.play(0..<12_000, group: 1200)
    publisher.finish()
    #expect(publisher.durations == [2400, 2400, 2400, 2400, 2400])
    #expect(publisher.segments.allSatisfy { $0.isIndependent && !$0.isDiscontinuity })
    #expect(publisher.segments.map(\.date.milliseconds) == [0, 2400, 4800, 7200, 9600])
    // RFC 8216 §3.2: PAT and PMT first; whole packets; and no tables twice.
    for segment in publisher.segments {
      let bytes = segment.bytes.array
      #expect(bytes.count % 188 == 0 && bytes[0] == 0x47 && bytes[1] == 0x40 && bytes[2] == 0 && bytes[189] == 0x50 && bytes[377] == 0x41)
    }
  }

  @Test func `groups rounded to 1.999 s are not doubled`() throws {
    var publisher = try Publisher(hasAudio: false)
    for n in 0..<5 {
      publisher.picture(n * 1999, isKey: true)
      publisher.picture(n * 1999 + 1000, isKey: false)
    }
    #expect(publisher.durations == [1999, 1999, 1999, 1999])
  }

  @Test func `audio alone is cut by time`() throws {
    var publisher = try Publisher(hasVideo: false)
    publisher.play(0..<6100, group: 1)
    #expect(publisher.segments.count == 3 && publisher.durations.allSatisfy { 1900...2000 ~= $0 })
  }

  @Test func `without key frames a segment ends at its maximum and is not independent`() throws {
    var publisher = try Publisher()
    publisher.play(0..<25_000, group: 1_000_000)
    #expect(publisher.durations == [10_000, 10_000])
    #expect(publisher.segments.map(\.isIndependent) == [true, false])
  }

  @Test func `a segment is bounded in bytes`() throws {
    var configuration = Segmenter.Configuration()
    configuration.maximumBytes = 20_000
    var publisher = try Publisher(configuration)
    publisher.play(0..<10_000, group: 1_000_000)
    #expect(publisher.segments.count > 5 && publisher.segments.allSatisfy { $0.bytes.count < 22_000 })
  }

  @Test(arguments: [1000, 60_000]) func `a jump of the lead is a discontinuity from the next key frame`(target: Int) throws {
    var publisher = try Publisher()
    publisher.play(20_000..<25_000, group: 2000)
    publisher.picture(target, isKey: false)
    publisher.play(target + 40..<target + 5000, group: 2000)
    publisher.finish()
    #expect(publisher.segments.map(\.isDiscontinuity) == [false, false, false, true, false, false])
    #expect(publisher.segments[2].duration == .seconds(1) && publisher.segments[3].start == Int64(target + 40) * 1000)
  }

  @Test func `a small step back is carried`() throws {
    var publisher = try Publisher(hasAudio: false)
    publisher.play(0..<1000, group: 1000)
    publisher.picture(900, isKey: false)
    publisher.play(1000..<3100, group: 1000)
    #expect(publisher.segments.count == 1 && publisher.durations == [2000])
  }

  @Test func `a picture that stands still does not stop the sound`() throws {
    var publisher = try Publisher()
    publisher.play(0..<2000, group: 2000)
    publisher.play(2000..<35_000, group: 1, video: false)
    #expect(publisher.segments.count == 3 && publisher.segments[1].duration == .seconds(10))
    publisher.play(35_000..<40_000, group: 2000)
    publisher.finish()
    #expect(!publisher.segments.contains { $0.isDiscontinuity })
  }

  @Test func `sound far from the picture is left out`() throws {
    var publisher = try Publisher()
    publisher.picture(0, isKey: true)
    publisher.sound(3_000_000)
    publisher.sound(-3_000_000)
    publisher.picture(2000, isKey: true)
    #expect(publisher.segments[0].bytes.count == 3 * 188)
  }

  @Test func `a new publisher or format begins a discontinuity`() throws {
    var publisher = try Publisher()
    publisher.play(0..<3000, group: 2000)
    try publisher.start()
    publisher.play(0..<1000, group: 2000)
    publisher.finish()
    #expect(publisher.durations == [2000, 1000, 1000])
    #expect(publisher.segments.map(\.isDiscontinuity) == [false, false, true])
  }

  @Test func `renditions are cut at the same times however they began`() throws {
    var configuration = Segmenter.Configuration()
    configuration.alignsToGrid = true
    var early = try Publisher(configuration), late = try Publisher(configuration)
    for time in stride(from: 0, to: 20_000, by: 500) {
      early.picture(time, isKey: true)
      if time >= 1500 { late.picture(time, isKey: true) }
    }
    #expect(late.durations.first == 500)
    #expect(early.segments.dropFirst().map(\.start) == late.segments.dropFirst().map(\.start))
  }

  // Dates follow media time; arrival jitter does not move them.
  @Test func `dates are smooth until they are wrong`() throws {
    var publisher = try Publisher(hasAudio: false)
    for (n, jitter) in [0, 700, -300, 100, 9000, 9100].enumerated() { publisher.picture(n * 2000, isKey: true, wall: n * 2000 + jitter) }
    #expect(publisher.segments.map(\.date.milliseconds) == [0, 2000, 4000, 6000, 17_000])
  }

  @Test func `absurd times and formats never trap`() throws {
    var publisher = try Publisher()
    var random = SeededRandom(seed: 7)
    for _ in 0..<3000 {
      let time =
        random.next() % 3 == 0 ? Int64.random(in: .min ... .max, using: &random) : Int64.random(in: -20_000...20_000, using: &random)
      let frame = Frame(
        track: UInt8.random(in: 0...2, using: &random), dts: time, pts: time &+ Int64.random(in: -50...50, using: &random),
        isKey: Bool.random(using: &random), payload: [0, 0, 0, 1, 0x65])
      if let segment = publisher.segmenter.receive(frame, date: WallTime(milliseconds: time)) {
        #expect(segment.duration > .zero)
      }
    }
    #expect(throws: TSError.unsupported(.av1)) { try Segmenter().copy([TrackFormat(codec: .av1, timescale: 1000)]) }
  }

  @Test func `a real stream becomes a playlist that plays`() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    var files = [tests.appendingPathComponent("ContainersTests/Vectors/h264-aac-bframes.flv")]
    if let folder = ProcessInfo.processInfo.environment["MARTLET_IMPORT"] { files.append(URL(fileURLWithPath: folder + "/long.flv")) }
    for file in files {
      var configuration = Segmenter.Configuration()
      configuration.targetDuration = .seconds(1)
      var segmenter = Segmenter(configuration)
      var window = Window(epoch: "e1", target: configuration.targetDuration)
      var demuxer = FLVDemuxer()
      var reader = FLVReader()
      reader.receive(Array(try Data(contentsOf: file)).span.bytes)
      var frames: [Frame] = []
      while let tag = try reader.next() {
        guard tag.kind != .script else { continue }
        let time = Int64(tag.timestamp)
        let event = tag.kind == .video ? try demuxer.video(tag.body, timestamp: time) : try demuxer.audio(tag.body, timestamp: time)
        if case .frame(let frame) = event { frames.append(frame) }
      }
      _ = try segmenter.start([demuxer.videoFormat, demuxer.audioFormat].compactMap { $0 })
      for frame in frames {
        if let segment = segmenter.receive(frame, date: WallTime(milliseconds: frame.track == 0 ? frame.dts : frame.dts / 48)) {
          window.append(segment)
        }
      }
      if let segment = segmenter.finish() { window.append(segment) }
      window.end()
      #expect(window.listed.count >= 3)
      guard let folder = ProcessInfo.processInfo.environment["MARTLET_EXPORT"] else { continue }
      let name = file.deletingPathExtension().lastPathComponent
      for entry in window.listed {
        try Data(entry.segment.bytes.array).write(to: URL(fileURLWithPath: "\(folder)/\(name)-e1-\(entry.sequence).ts"))
      }
      try Data(MediaPlaylist.write(window, .init(prefix: name + "-")).utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name).m3u8"))
    }
  }
}

extension Segmenter {
  /// `start` of a copy, for expectations, which cannot mutate.
  func copy(_ formats: [TrackFormat]) throws {
    var copy = self
    _ = try copy.start(formats)
  }
}

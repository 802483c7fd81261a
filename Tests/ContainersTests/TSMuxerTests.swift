import Foundation
import MartletCodecs
import MartletContainers
import MartletPrimitives
import Testing

/// Writes what a test made where real players can be pointed at it, when `MARTLET_EXPORT` names a folder.
func export(_ bytes: [UInt8], _ name: String) throws {
  guard let folder = ProcessInfo.processInfo.environment["MARTLET_EXPORT"] else { return }
  try Data(bytes).write(to: URL(fileURLWithPath: folder).appendingPathComponent(name))
}

/// FLV files beside the vectors, too large to keep, for the same purpose.
func imported() throws -> [(name: String, media: Media)] {
  guard let folder = ProcessInfo.processInfo.environment["MARTLET_IMPORT"] else { return [] }
  return try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".flv") }.map { name in
    let data = try Data(contentsOf: URL(fileURLWithPath: folder).appendingPathComponent(name))
    return (String(name.dropLast(4)), try Media(tags(Slice(Array(data)))))
  }
}

@Suite struct TSFieldTests {
  @Test func `CRC-32/MPEG-2 vectors`() {
    #expect(CRC32.mpeg2("123456789".utf8) == 0x0376_e6e7)
    // A PAT with program 1 on PID 0x1000.
    #expect(CRC32.mpeg2([0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0]) == 0x2ab1_04b2)
  }

  // ISO/IEC 13818-1 §2.4.3.6: 33 bits in 3, 15 and 15 with marker bits.
  @Test func `PES headers byte for byte`() {
    var audio: [UInt8] = []
    PESHeader.append(streamID: PESHeader.audio, pts: 126_000, dts: 126_000, payloadCount: 100, to: &audio)
    #expect(audio == [0, 0, 1, 0xc0, 0, 108, 0x84, 0x80, 5, 0x21, 0x00, 0x07, 0xd8, 0x61])
    var video: [UInt8] = []
    PESHeader.append(streamID: PESHeader.video, pts: 0x1_ffff_ffff, dts: 0, payloadCount: nil, to: &video)
    #expect(video == [0, 0, 1, 0xe0, 0, 0, 0x84, 0xc0, 10, 0x3f, 0xff, 0xff, 0xff, 0xff, 0x11, 0x00, 0x01, 0x00, 0x01])
  }
}

@Suite struct TSMuxerTests {
  private func mux(_ media: Media, _ options: TSMuxer.Options = .init()) throws -> [UInt8] {
    var muxer = try TSMuxer(formats: media.formats.compactMap { $0 }, options: options)
    let shift: UInt8 = media.formats[0] == nil ? 1 : 0
    var output: [UInt8] = []
    for var frame in media.frames {
      frame.track -= shift
      muxer.mux(frame, into: &output)
    }
    muxer.flush(into: &output)
    return output
  }

  @Test func `every frame arrives with its times`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    let output = try mux(media)
    try export(output, "h264-aac.ts")
    let stream = TSDemuxer(output)
    let video = stream.units.filter { $0.pid == 0x100 }
    let frames = media.frames.filter { $0.track == 0 }
    #expect(video.map(\.dts) == frames.map { $0.dts * 90 + 126_000 })
    #expect(video.map(\.pts) == frames.map { $0.pts * 90 + 126_000 })
    #expect(video.map(\.isRandomAccess) == frames.map(\.isKey))
    // ISO/IEC 13818-1 §2.14.1: an access unit delimiter first; then the parameter sets of a key frame.
    #expect(video.allSatisfy { $0.payload.starts(with: [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1]) })
    #expect(video[0].payload[10] == 0x67 && video[1].payload[10] & 0x1f != 7)
    let audio = stream.units.filter { $0.pid == 0x101 }
    #expect(audio.count == media.frames.count - frames.count)
    #expect(audio.allSatisfy { $0.payload.starts(with: [0xff, 0xf1]) })
  }

  // §2.4.4, §2.7.2: tables before key frames and within 100 ms, a clock within 100 ms.
  @Test func `tables and clocks are frequent enough`() throws {
    let stream = TSDemuxer(try mux(Media(tags(vector("h264-aac-bframes.flv")))))
    #expect(stream.tables.filter { $0.pid == 0 }.count >= 24)
    #expect(stream.tables.allSatisfy { CRC32.mpeg2($0.section) == 0 })
    let steps = zip(stream.clocks, stream.clocks.dropFirst()).map { $1.base - $0.base }
    #expect(steps.allSatisfy { $0 > 0 && $0 <= 9000 })
    #expect(stream.clocks.allSatisfy { $0.pid == 0x100 })
  }

  @Test func `audio alone carries the clock`() throws {
    let media = try Media(tags(vector("mp3.flv")))
    let output = try mux(media)
    try export(output, "mp3.ts")
    let stream = TSDemuxer(output)
    #expect(stream.units.count == 40 && stream.clocks.count == 40 && stream.clocks[0].pid == 0x100)
    #expect(stream.tables[1].section[12] == 0x03)
  }

  @Test func `slow video leaves its clock to clock packets`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var slow = media
    slow.frames = media.frames.filter { $0.track == 1 || $0.isKey }
    let output = try mux(slow)
    try export(output, "slow-video.ts")
    let stream = TSDemuxer(output)
    let steps = zip(stream.clocks, stream.clocks.dropFirst()).map { $1.base - $0.base }
    #expect(stream.clocks.count > 20 && steps.allSatisfy { $0 > 0 && $0 <= 9_900 })
  }

  @Test func `audio frames may share a packet`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var options = TSMuxer.Options()
    options.audioFramesPerPES = 4
    let output = try mux(media, options)
    try export(output, "grouped.ts")
    let audio = TSDemuxer(output).units.filter { $0.pid == 0x101 }
    #expect(audio.count < media.frames.filter { $0.track == 1 }.count / 2)
    #expect(try output.count < mux(media).count)
  }

  @Test func `codecs without a mapping are refused by name`() throws {
    let av1 = TrackFormat(codec: .av1, timescale: 1000)
    #expect(throws: TSError.unsupported(.av1)) { try TSMuxer(formats: [av1]) }
    #expect(throws: TSError.self) { try TSMuxer(formats: [TrackFormat(codec: .h264, timescale: 1000)]) }
    let data = TrackFormat(codec: .data, timescale: 1000)
    #expect(throws: TSError.tooManyTracks(maximum: 8)) { try TSMuxer(formats: Array(repeating: data, count: 9)) }
  }

  @Test func `times wrap, jump and go below zero without a trap`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var muxer = try TSMuxer(formats: media.formats.compactMap { $0 })
    var output: [UInt8] = []
    for time in [Int64.min, -1_000_000, 0, 95_443_717, 95_443_800, .max, 5] {
      muxer.mux(Frame(track: 0, dts: time, pts: time, isKey: false, payload: [0, 0, 0, 2, 0x41, 1]), into: &output)
      muxer.mux(Frame(track: 1, dts: time, pts: time, isKey: true, payload: [0x21]), into: &output)
    }
    muxer.mux(Frame(track: 9, dts: 0, pts: 0, isKey: true, payload: []), into: &output)
    muxer.mux(Frame(track: 0, dts: 0, pts: 0, isKey: true, payload: [0, 0, 0, 9, 1]), into: &output)
    #expect(TSDemuxer(output).units.count == 15)
  }

  @Test func `imported streams`() throws {
    for (name, media) in try imported() {
      guard let output = try? mux(media) else { continue }
      try export(output, name + ".ts")
    }
  }
}

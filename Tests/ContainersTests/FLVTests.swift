import Foundation
import MartletCodecs
import MartletContainers
import MartletPrimitives
import TestSupport
import Testing

/// A file of the Vectors folder.
func vector(_ name: String) throws -> Slice {
  let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Vectors")
  return Slice(Array(try Data(contentsOf: folder.appendingPathComponent(name))))
}

func tags(_ file: Slice, pieces: Int = .max) throws -> [FLVTag] {
  var reader = FLVReader()
  var tags: [FLVTag] = []
  var offset = 0
  while offset < file.count {
    let end = offset + min(pieces, file.count - offset)
    reader.receive(file.sub(offset..<end).bytes)
    while let tag = try reader.next() { tags.append(tag) }
    offset = end
  }
  return tags
}

/// Formats and frames of a file in order; track 0 is video.
struct Media {
  var formats: [TrackFormat?] = [nil, nil]
  var frames: [Frame] = []

  init(_ tags: [FLVTag]) throws {
    var demuxer = FLVDemuxer()
    for tag in tags {
      let event: FLVEvent
      switch tag.kind {
      case .video: event = try demuxer.video(tag.body, timestamp: Int64(tag.timestamp))
      case .audio: event = try demuxer.audio(tag.body, timestamp: Int64(tag.timestamp))
      case .script: continue
      }
      switch event {
      case .format(_, let frame): frames += frame.map { [$0] } ?? []
      case .frame(let frame): frames.append(frame)
      default: break
      }
    }
    formats = [demuxer.videoFormat, demuxer.audioFormat]
  }
}

@Suite struct FLVReaderTests {
  @Test(arguments: [1, 7, 4096, Int.max]) func `tags come out whatever the pieces`(size: Int) throws {
    let file = try vector("mp3.flv")
    let found = try tags(file, pieces: size)
    #expect(found.count == 41 && found[0].kind == .script)
    // What is written again is the same file.
    var again = FLVWriter.fileHeader(hasAudio: true, hasVideo: false)
    for tag in found { again += FLVWriter.tag(tag) }
    #expect(Slice(again) == file)
  }

  @Test func `a stream that is not FLV is refused at its first byte`() {
    var reader = FLVReader()
    reader.receive(Slice(Array("RIFF".utf8)).bytes)
    #expect(throws: ParseError.self) { try reader.next() }
  }

  @Test func `a tag above the limit is refused by its header`() throws {
    var limits = FLVReader.Limits()
    limits.tagSize = 1000
    var reader = FLVReader(limits: limits)
    reader.receive(Slice(FLVWriter.fileHeader(hasAudio: true, hasVideo: true)).bytes)
    #expect(try reader.next() == nil)
    reader.receive(Slice([9, 0, 3, 0xe9, 0, 0, 0, 0, 0, 0, 0]).bytes)
    #expect(throws: ParseError.limit("an FLV tag in bytes", maximum: 1000)) { try reader.next() }
  }

  @Test func `garbage never traps`() throws {
    let file = try vector("mp3.flv").sub(0..<1500).array
    var random = SeededRandom(seed: 3)
    for _ in 0..<2000 {
      var bytes = file
      for _ in 0..<4 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      var reader = FLVReader()
      reader.receive(bytes.span.bytes)
      while let tag = try? reader.next() { _ = tag.body.count }
    }
  }
}

@Suite struct FLVDemuxerTests {
  @Test func `H.264 with B-frames and AAC`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    let (video, audio) = (try #require(media.formats[0]), try #require(media.formats[1]))
    #expect(video.codecString == "avc1.64000c" && video.width == 320 && video.height == 180 && video.frameRate == 25)
    #expect(audio.codecString == "mp4a.40.2" && audio.timescale == 44100 && audio.channels == 1)
    let pictures = media.frames.filter { $0.track == 0 }
    #expect(pictures.count == 60 && pictures.filter(\.isKey).count == 3)
    #expect(pictures.map(\.dts) == (0..<60).map { Int64($0) * 40 })
    #expect(Set(pictures.map(\.pts)) == Set((0..<60).map { Int64($0) * 40 + 80 }))
    // Every frame is 1,024 samples behind the one before: no rounding to milliseconds is left.
    let sounds = media.frames.filter { $0.track == 1 }.map(\.dts)
    #expect(zip(sounds, sounds.dropFirst()).allSatisfy { $1 - $0 == 1024 })
  }

  @Test func `MP3 brings its format with its first frame`() throws {
    let media = try Media(tags(vector("mp3.flv")))
    #expect(media.formats[1]?.codec == .mp3 && media.formats[1]?.sampleRate == 44100 && media.frames.count == 40)
    #expect(media.frames[1].dts - media.frames[0].dts == 1152)
  }

  @Test func `bodies written again give the same media`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var rewritten: [FLVTag] = []
    for format in media.formats.compactMap({ $0 }) {
      let body = try #require(FLVMuxer.sequenceHeader(format))
      rewritten.append(FLVTag(FLVMuxer.tagKind(format), timestamp: 0, body: Slice(body)))
    }
    for frame in media.frames {
      let format = try #require(media.formats[Int(frame.track)])
      let body = FLVMuxer.body(frame, format)
      rewritten.append(
        FLVTag(
          FLVMuxer.tagKind(format), timestamp: FLVMuxer.timestamp(frame, format), body: Slice(body.header + body.payload.array)))
    }
    let again = try Media(rewritten)
    #expect(again.formats == media.formats)
    #expect(again.frames.map(\.pts) == media.frames.map(\.pts) && again.frames.map(\.payload) == media.frames.map(\.payload))
  }

  @Test func `a repeated sequence header is ignored, a changed one is a format`() throws {
    let header = try #require(tags(vector("h264-aac-bframes.flv")).first { $0.kind == .video }).body
    var demuxer = FLVDemuxer()
    guard case .format = try demuxer.video(header, timestamp: 0) else { return #expect(Bool(false)) }
    guard case .ignored = try demuxer.video(header, timestamp: 9) else { return #expect(Bool(false)) }
  }

  @Test func `parameter sets in band stand in for a sequence header`() throws {
    let all = try tags(vector("h264-aac-bframes.flv")).filter { $0.kind == .video }
    let record = try H264Configuration(all[0].body.dropFirst(5))
    var demuxer = FLVDemuxer()
    guard case .unsupported("H264 without parameter sets") = try demuxer.video(all[1].body, timestamp: 0) else {
      Issue.record("a frame without parameter sets was not reported")
      return
    }
    guard case .ignored = try demuxer.video(all[2].body, timestamp: 40) else {
      Issue.record("it was reported twice")
      return
    }
    var writer = ByteWriter()
    writer.append(all[1].body.sub(0..<5))
    for unit in record.sps + record.pps {
      writer.u32(UInt32(unit.count))
      writer.append(unit)
    }
    writer.append(all[1].body.dropFirst(5))
    guard case .format(let format, let frame?) = try demuxer.video(writer.slice, timestamp: 1000) else {
      Issue.record("no format came of parameter sets in band")
      return
    }
    #expect(format.width == 320 && frame.isKey && frame.dts == 1000)
  }

  @Test func `empty tags, commands and unknown codecs`() throws {
    var demuxer = FLVDemuxer()
    for body in [[], [0x57, 0], [0x17, 1, 0, 0, 0]] as [Slice] {
      guard case .ignored = try demuxer.video(body, timestamp: 0) else { return #expect(Bool(false), "\(body.array)") }
    }
    guard case .unsupported("Sorenson H.263") = try demuxer.video([0x12, 0], timestamp: 0) else { return #expect(Bool(false)) }
    guard case .ignored = try demuxer.video([0x12, 0], timestamp: 0) else { return #expect(Bool(false)) }
    guard case .unsupported("fLaC") = try demuxer.audio(Slice([0x90] + Array("fLaC".utf8)), timestamp: 0) else {
      return #expect(Bool(false))
    }
    #expect(throws: ParseError.self) { try demuxer.video([0x17, 1, 0], timestamp: 0) }
  }

  @Test func `a sequence header is bounded, since every viewer gets it`() throws {
    var demuxer = FLVDemuxer()
    let header = Slice([0x17, 0, 0, 0, 0] + [UInt8](repeating: 1, count: 70_000))
    #expect(throws: ParseError.limit("a sequence header in bytes", maximum: 65_536)) { try demuxer.video(header, timestamp: 0) }
  }

  @Test func `a NAL length beyond its frame throws`() throws {
    let all = try tags(vector("h264-aac-bframes.flv")).filter { $0.kind == .video }
    var demuxer = FLVDemuxer()
    _ = try demuxer.video(all[0].body, timestamp: 0)
    #expect(throws: ParseError.self) { try demuxer.video([0x27, 1, 0, 0, 0, 0, 0, 0, 9, 0x41], timestamp: 0) }
  }

  // Enhanced RTMP v2: FourCC, composition time, ModEx, multitrack.
  @Test func `enhanced packets`() throws {
    let legacy = try tags(vector("h264-aac-bframes.flv")).filter { $0.kind == .video }
    let record = legacy[0].body.dropFirst(5).array
    let avc1 = Array("avc1".utf8)
    let unit: [UInt8] = [0, 0, 0, 2, 0x65, 1]
    var demuxer = FLVDemuxer()
    guard case .format(let format, nil) = try demuxer.video(Slice([0x90] + avc1 + record), timestamp: 0) else {
      return #expect(Bool(false))
    }
    #expect(format.width == 320)
    let packets: [(Slice, Int64)] = [
      (Slice([0x91] + avc1 + [0xff, 0xff, 0xfe] + unit), -2), (Slice([0x93] + avc1 + unit), 0),
      (Slice([0x97, 2, 0, 1, 2, 0x03] + avc1 + unit), 0), (Slice([0x96, 0x03] + avc1 + [0] + unit), 0),
      (Slice([0x96, 0x13] + avc1 + [1, 0, 0, 1, 0xee, 0, 0, 0, 6] + unit), 0),
      (Slice([0x96, 0x21] + Array("hvc1".utf8) + [1, 0, 0, 1, 0xee] + avc1 + [0, 0, 0, 9, 0, 0, 5] + unit), 5),
    ]
    for (packet, offset) in packets {
      guard case .frame(let frame) = try demuxer.video(packet, timestamp: 100) else { return #expect(Bool(false), "\(packet.array)") }
      #expect(frame.payload == Slice(unit) && frame.isKey && frame.pts - frame.dts == offset)
      for length in 1..<packet.count { _ = try? demuxer.video(packet.sub(0..<length), timestamp: 0) }
    }
    guard case .endOfSequence = try demuxer.video(Slice([0x92] + avc1), timestamp: 0) else { return #expect(Bool(false)) }
    guard case .ignored = try demuxer.video([0x94, 1, 2], timestamp: 0) else { return #expect(Bool(false)) }
    // Track 0 is not in it.
    guard case .ignored = try demuxer.video(Slice([0x96, 0x03] + avc1 + [1] + unit), timestamp: 0) else { return #expect(Bool(false)) }
  }

  @Test func `enhanced formats survive the muxer`() throws {
    let av1 = try TrackFormat.av1(av1C: Slice(Hex.decode("81000c000a0b000000043cfeccdaf90040") ?? []))
    let vp9 = try TrackFormat.vp9(vpcC: [0, 11, 0x82, 2, 2, 2, 0, 0])
    let opus = try TrackFormat.opus(OpusConfiguration(channels: 2).write())
    for format in [av1, vp9, opus] {
      var demuxer = FLVDemuxer()
      let header = Slice(try #require(FLVMuxer.sequenceHeader(format)))
      let event = format.kind == .video ? try demuxer.video(header, timestamp: 0) : try demuxer.audio(header, timestamp: 0)
      guard case .format(format, nil) = event else { return #expect(Bool(false), "\(event)") }
      let frame = Frame(
        track: format.kind == .video ? 0 : 1, dts: 0, pts: 0, isKey: false, payload: format.codec == .av1 ? [0x32, 1, 7] : [0x86, 1, 2])
      let body = FLVMuxer.body(frame, format)
      let bytes = Slice(body.header + body.payload.array)
      let again = format.kind == .video ? try demuxer.video(bytes, timestamp: 0) : try demuxer.audio(bytes, timestamp: 0)
      guard case .frame(let got) = again else { return #expect(Bool(false), "\(again)") }
      #expect(got.payload == frame.payload)
    }
  }

  @Test func `garbage never traps`() throws {
    let all = try tags(vector("h264-aac-bframes.flv")).prefix(40)
    var random = SeededRandom(seed: 5)
    for _ in 0..<100 {
      var demuxer = FLVDemuxer()
      for tag in all where tag.kind != .script {
        var bytes = tag.body.sub(0..<Int.random(in: 1...200, using: &random)).array
        if Int.random(in: 0...2, using: &random) == 0 {
          for _ in 0..<3 { bytes[Int.random(in: 0..<min(12, bytes.count), using: &random)] = UInt8.random(in: 0...255, using: &random) }
        }
        _ = try? demuxer.video(Slice(bytes), timestamp: Int64(tag.timestamp))
        _ = try? demuxer.audio(Slice(bytes), timestamp: .random(in: .min ... .max, using: &random))
      }
    }
  }
}

@Suite struct AudioClockTests {
  private let aac: Slice = [0xaf, 0, 0x11, 0x90]
  private func time(_ demuxer: inout FLVDemuxer, _ milliseconds: Int64) throws -> Int64 {
    guard case .frame(let frame) = try demuxer.audio([0xaf, 1, 0x21], timestamp: milliseconds) else { return -1 }
    return frame.dts
  }

  // DESIGN, media model: re-derived from sample counts, re-anchored beyond 20 ms of drift.
  @Test func `jitter is smoothed, a jump is followed, time never repeats`() throws {
    var demuxer = FLVDemuxer()
    _ = try demuxer.audio(aac, timestamp: 0)
    #expect(try time(&demuxer, 0) == 0)
    #expect(try time(&demuxer, 35) == 1024)
    #expect(try time(&demuxer, 30) == 2048)
    #expect(try time(&demuxer, 1000) == 48000)
    // 45 ms behind: followed as far as what went out allows.
    #expect(try time(&demuxer, 976) == 48001)
    // Far back: a new time line.
    #expect(try time(&demuxer, -5000) == -240_000)
  }
}

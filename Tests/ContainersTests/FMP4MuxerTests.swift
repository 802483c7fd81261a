import MartletCodecs
import MartletContainers
import MartletPrimitives
import Testing

/// A box with its children, read back strictly: sizes must add up.
struct Box {
  var type: String
  var body: [UInt8]
  var children: [Box] = []

  private static let containers: Set = ["moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"]

  static func all(_ bytes: [UInt8]) throws -> [Box] {
    var reader = ByteReader(bytes.span.bytes)
    var boxes: [Box] = []
    while !reader.isAtEnd {
      let size = Int(try reader.u32())
      let type = try reader.string(4)
      let body = Array(copying: try reader.bytes(size - 8))
      boxes.append(Box(type: type, body: body, children: containers.contains(type) ? try all(body) : []))
    }
    return boxes
  }

  subscript(_ path: String...) -> Box? {
    var box: Box? = self
    for type in path { box = box?.children.first { $0.type == type } }
    return box
  }

  func u32(_ at: Int) -> UInt32 { body[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
  func u64(_ at: Int) -> UInt64 { UInt64(u32(at)) << 32 | UInt64(u32(at + 4)) }
}

@Suite struct FMP4MuxerTests {
  private func formats(_ media: Media) -> [TrackFormat] { media.formats.compactMap { $0 } }

  /// One fragment a key frame, as segments are.
  private func segmented(_ media: Media, _ options: FMP4Muxer.Options = .init()) throws -> [UInt8] {
    var muxer = try FMP4Muxer(formats: formats(media), options: options)
    var output = muxer.initialization()
    let shift: UInt8 = media.formats[0] == nil ? 1 : 0
    var group: [Frame] = []
    func ends(_ from: Int) -> [Int64?] {
      (0..<2).map { track in media.frames[from...].first { $0.track - shift == track }?.dts }
    }
    for (index, original) in media.frames.enumerated() {
      var frame = original
      frame.track -= shift
      if frame.isKey, original.track == 0, !group.isEmpty {
        output += muxer.fragment(group, ends: ends(index))
        group = []
      }
      group.append(frame)
    }
    return output + muxer.fragment(group)
  }

  @Test func `the initialization segment says the formats`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    let muxer = try FMP4Muxer(formats: formats(media))
    #expect(muxer.mimeType == "video/mp4; codecs=\"avc1.64000c,mp4a.40.2\"")
    let boxes = try Box.all(muxer.initialization())
    #expect(boxes.map(\.type) == ["ftyp", "moov"])
    #expect(boxes[1].children.map(\.type) == ["mvhd", "trak", "trak", "mvex"])
    let entry = try #require(boxes[1]["trak", "mdia", "minf", "stbl", "stsd"]).body
    #expect(Array(entry[12..<16]) == Array("avc1".utf8) && Array(entry[40..<44]) == [1, 64, 0, 180])
    #expect(boxes[1]["trak", "mdia", "mdhd"]?.u32(12) == 1000)
  }

  @Test func `a fragment lays out its samples where it says`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var muxer = try FMP4Muxer(formats: formats(media))
    let frames = Array(media.frames.prefix(20))
    let boxes = try Box.all(muxer.fragment(frames))
    #expect(boxes.map(\.type) == ["moof", "mdat"])
    let moofSize = boxes[0].body.count + 8
    var offset = moofSize + 8
    for (index, traf) in boxes[0].children.filter({ $0.type == "traf" }).enumerated() {
      let own = frames.filter { $0.track == index }
      #expect(traf["tfhd"]?.u32(4) == UInt32(index + 1) && traf["tfhd"]?.u32(0) == 0x02_0020)
      #expect(traf["tfdt"]?.u64(4) == UInt64(own[0].dts))
      let trun = try #require(traf["trun"])
      #expect(trun.u32(4) == UInt32(own.count) && trun.u32(8) == UInt32(offset))
      offset += own.reduce(0) { $0 + $1.payload.count }
      if index == 0 {
        #expect(trun.u32(12) == 40 && trun.u32(20) == 0x0200_0000 && trun.u32(24) == 80)
        #expect(trun.u32(12 + 16 + 8) == 0x0101_0000)
      } else {
        #expect(trun.u32(12) == 1024 && trun.body.count == 12 + own.count * 8)
      }
    }
    #expect(offset - moofSize - 8 == boxes[1].body.count)
  }

  @Test func `one frame makes a fragment with an estimated duration`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var muxer = try FMP4Muxer(formats: formats(media))
    var output = muxer.initialization()
    for (index, frame) in media.frames.enumerated() {
      let fragment = muxer.fragment([frame])
      let boxes = try Box.all(fragment)
      #expect(boxes[0]["traf", "trun"]?.u32(12) == (frame.track == 0 ? 40 : 1024))
      #expect(boxes[0]["mfhd"]?.u32(4) == UInt32(index + 1))
      output += fragment
    }
    try export(output, "low-latency.mp4")
    try export(segmented(media), "segmented.mp4")
  }

  // DESIGN, media model: jumps are normal. A pause makes estimates longer, never a gap.
  @Test func `times below zero, absurd or jumping`() throws {
    let media = try Media(tags(vector("h264-aac-bframes.flv")))
    var options = FMP4Muxer.Options()
    options.timeOffset = 10
    var muxer = try FMP4Muxer(formats: formats(media), options: options)
    func start(_ dts: Int64) throws -> UInt64? {
      let frame = Frame(track: 0, dts: dts, pts: dts &+ 40, isKey: true, payload: [0, 0, 0, 1, 0x65])
      return try Box.all(muxer.fragment([frame]))[0]["traf", "tfdt"]?.u64(4)
    }
    let starts = [try start(-1000), try start(.min), try start(.max), try start(5)]
    #expect(starts == [9000, 0, UInt64(Int64.max), 10005])
    let nothing = muxer.fragment([Frame(track: 7, dts: 0, pts: 0, isKey: true, payload: [])])
    #expect(nothing.isEmpty)
  }

  @Test func `codecs and counts without a place are refused`() throws {
    #expect(throws: MP4Error.unsupported(.g711a)) { try FMP4Muxer(formats: [.g711(.g711a)]) }
    let data = TrackFormat(codec: .data, timescale: 1000)
    #expect(throws: MP4Error.tooManyTracks(maximum: 16)) { try FMP4Muxer(formats: Array(repeating: data, count: 17)) }
  }

  @Test func `imported streams`() throws {
    try export(segmented(Media(tags(vector("mp3.flv")))), "mp3.mp4")
    for (name, media) in try imported() {
      var options = FMP4Muxer.Options()
      options.writesSegmentType = true
      try export(segmented(media, options), name + ".mp4")
      guard media.formats[0] != nil else { continue }
      var muxer = try FMP4Muxer(formats: formats(media))
      var output = muxer.initialization()
      // Every second picture that no other needs (nal_ref_idc 0) is lost: an estimated duration must not open a gap.
      for (index, frame) in media.frames.enumerated() {
        let isDisposable = frame.track == 0 && frame.payload.bytes.byte(at: 4).map { $0 & 0x60 == 0 } ?? false
        if !isDisposable || index % 2 == 0 || media.formats[0]?.codec != .h264 { output += muxer.fragment([frame]) }
      }
      try export(output, name + "-frames.mp4")
    }
  }
}

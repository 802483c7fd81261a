import MartletCodecs
import MartletContainers
import MartletPrimitives

/// What publishers send as FLV, and what the muxers make of frames nobody has checked.
extension FuzzEntry {
  static let containers = [flv, muxers]

  private static var flvSeed: [UInt8] {
    var bytes = FLVWriter.fileHeader(hasAudio: true, hasVideo: true)
    let video = TrackFormat.sampleVideo, audio = TrackFormat.sampleAudio
    var tags: [FLVTag] = []
    if let header = FLVMuxer.sequenceHeader(video) { tags.append(FLVTag(.video, timestamp: 0, body: Slice(header))) }
    if let header = FLVMuxer.sequenceHeader(audio) { tags.append(FLVTag(.audio, timestamp: 0, body: Slice(header))) }
    tags.append(FLVTag(.video, timestamp: 0, body: [0x17, 1, 0, 0, 0, 0, 0, 0, 3, 0x65, 1, 2]))
    tags.append(FLVTag(.audio, timestamp: 10, body: [0xaf, 1, 0x21, 0x10]))
    tags.append(FLVTag(.video, timestamp: 40, body: [0x27, 1, 0, 0, 40, 0, 0, 0, 2, 0x41, 9]))
    // Enhanced: HEVC without a configuration, Opus, an MP3 frame.
    tags.append(FLVTag(.video, timestamp: 80, body: Slice([0x91] + Array("hvc1".utf8) + [0, 0, 0, 0, 0, 0, 3, 0x26, 1, 5])))
    tags.append(FLVTag(.audio, timestamp: 80, body: Slice([0x91] + Array("Opus".utf8) + [0xfc, 0xff, 0xfe])))
    tags.append(FLVTag(.audio, timestamp: 80, body: [0x2f, 0xff, 0xfb, 0x90, 0x00]))
    for tag in tags { bytes += FLVWriter.tag(tag) }
    return bytes
  }

  private static let flv = FuzzEntry("flv", seeds: [flvSeed]) { bytes in
    var limits = FLVReader.Limits()
    limits.tagSize = 4096
    let (whole, failed) = tags([bytes[...]], limits)
    let (parts, failedInParts) = tags(pieces(bytes), limits)
    require(whole == parts && failed == failedInParts, "tags that depend on how the bytes were cut")
    require(whole.allSatisfy { $0.body.count <= limits.tagSize }, "a tag beyond the limit")
    var demuxer = FLVDemuxer()
    var stage = MuxStage()
    for tag in whole {
      let event: FLVEvent?
      switch tag.kind {
      case .video: event = try? demuxer.video(tag.body, timestamp: Int64(tag.timestamp))
      case .audio: event = try? demuxer.audio(tag.body, timestamp: Int64(tag.timestamp))
      case .script: event = nil
      }
      switch event {
      case .format(_, let frame):
        stage = MuxStage([demuxer.videoFormat ?? .data, demuxer.audioFormat ?? .data])
        if let frame { stage.take(frame) }
      case .frame(let frame): stage.take(frame)
      case .ignored, .unsupported, .endOfSequence, nil: break
      }
    }
  }

  private static func tags(_ pieces: [ArraySlice<UInt8>], _ limits: FLVReader.Limits) -> ([FLVTag], failed: Bool) {
    var reader = FLVReader(limits: limits)
    var tags: [FLVTag] = []
    for piece in pieces {
      reader.receive(piece.span.bytes)
      do { while let tag = try reader.next() { tags.append(tag) } } catch { return (tags, true) }
    }
    return (tags, false)
  }

  /// Codec and timescale from the first two bytes, then frames: flags, times, length, payload.
  private static let muxers = FuzzEntry(
    "muxers",
    seeds: (0..<10 as Range<UInt8>).map { [$0, 1, 1, 0, 0, 0, 8, 0, 0, 0, 4, 0x65, 1, 2, 3, 0, 0, 0, 40, 8, 0, 0, 0, 4, 0x41, 1, 2, 3] }
  ) { bytes in
    guard bytes.count > 2 else { return }
    let codec = Codec.allCases[Int(bytes[0]) % Codec.allCases.count]
    var format = TrackFormat(codec: codec, timescale: [1, 1000, 44100, 90000, .max][Int(bytes[1]) % 5])
    switch codec {
    case .h264, .hevc, .av1, .aac, .opus: format.configuration = TrackFormat.sample(codec).configuration
    case .vp8, .vp9, .mp3, .g711a, .g711u, .g722, .data: break
    }
    var stage = MuxStage([format])
    var reader = ByteReader(bytes.span.bytes)
    do {
      try reader.skip(2)
      var time: Int64 = 0
      while !reader.isAtEnd {
        let flags = try reader.u8()
        // Times from anywhere, also beyond what any clock says.
        time = flags & 2 == 0 ? time &+ Int64(Int32(bitPattern: try reader.u32())) : Int64(bitPattern: try reader.u64())
        let length = Int(try reader.u8())
        let payload = Slice(copying: try reader.bytes(min(length, reader.remaining)))
        stage.take(Frame(track: 0, dts: time, pts: time &+ Int64(flags >> 2), isKey: flags & 1 == 1, payload: payload))
      }
    } catch {}
  }
}

/// Every muxer at once.
private struct MuxStage {
  private var formats: [TrackFormat] = []
  private var ts: TSMuxer?
  private var mp4: FMP4Muxer?

  init() {}

  init(_ formats: [TrackFormat]) {
    self.formats = formats
    ts = try? TSMuxer(formats: formats)
    mp4 = try? FMP4Muxer(formats: formats)
    if let mp4 {
      checkBoxes(mp4.initialization())
      _ = mp4.mimeType
    }
  }

  mutating func take(_ frame: Frame) {
    guard Int(frame.track) < formats.count else { return }
    let format = formats[Int(frame.track)]
    _ = FLVMuxer.body(frame, format)
    _ = FLVMuxer.timestamp(frame, format)
    _ = FLVMuxer.sequenceHeader(format)
    var packets: [UInt8] = []
    ts?.mux(frame, into: &packets)
    ts?.flush(into: &packets)
    require(packets.count % 188 == 0, "a transport stream that is not whole packets")
    for start in stride(from: 0, to: packets.count, by: 188) { require(packets[start] == 0x47, "a packet without its sync byte") }
    require(packets.count <= 188 * 8 + 4 * frame.payload.count, "many more bytes out than in")
    if let fragment = mp4?.fragment([frame]) { checkBoxes(fragment) }
  }

  /// The boxes add up to the whole.
  private func checkBoxes(_ bytes: [UInt8]) {
    var reader = ByteReader(bytes.span.bytes)
    do {
      while !reader.isAtEnd {
        let size = Int(try reader.u32())
        require(size >= 8, "a box smaller than its head")
        try reader.skip(size - 4)
      }
    } catch { preconditionFailure("boxes that do not add up: \(error)") }
  }
}

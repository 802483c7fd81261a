package import MartletCodecs
package import MartletPrimitives

/// What a tag brought.
package enum FLVEvent: Sendable {
  /// A new or changed format, and the frame that came with it when the change was in band (MP3, Opus, VP9, parameter sets
  /// inside a key frame).
  case format(TrackFormat, then: Frame?)
  case frame(Frame)
  case endOfSequence
  /// Nothing for a viewer: an empty tag, a repeated sequence header, a command or metadata packet.
  case ignored
  /// Media that cannot be carried, and why. Said once until a format of that kind arrives; `ignored` after.
  case unsupported(String)
}

/// Turns the bodies of RTMP messages or FLV tags into formats and frames: legacy and Enhanced RTMP v1 and v2 (of several
/// tracks, track 0). One for each publisher. Script data is the caller's.
package struct FLVDemuxer: Sendable {
  /// Bytes in a sequence header, which is sent again to every viewer.
  package static let maximumRecord = 64 << 10

  /// The formats in force; `nil` until known.
  package private(set) var videoFormat: TrackFormat?
  package private(set) var audioFormat: TrackFormat?

  private let videoTrack: UInt8, audioTrack: UInt8
  private var lengthSize = 4
  private var parameterSets: ParameterSets?
  private var audioClock = AudioClock(timescale: 1000)
  private var samplesPerFrame = 1024
  private var reportedVideo = false, reportedAudio = false

  /// - Parameters: the indices that the frames will carry.
  package init(videoTrack: UInt8 = 0, audioTrack: UInt8 = 1) {
    self.videoTrack = videoTrack
    self.audioTrack = audioTrack
  }

  /// - Parameter timestamp: milliseconds, unwrapped. Frames come out in a clock of 1,000 Hz.
  package mutating func video(_ body: Slice, timestamp: Int64) throws(ParseError) -> FLVEvent {
    switch try FLVVideoPacket(body) {
    case .ignored: return .ignored
    case .sequenceEnd: return .endOfSequence
    case .unsupported(let name): return FLVDemuxer.report(name, &reportedVideo)
    case .sequenceStart(let codec, let record): return try configure(codec, record)
    case .coded(let codec, let isKey, let compositionTime, let payload):
      var frame = Frame(
        track: videoTrack, dts: timestamp, pts: timestamp &+ compositionTime, isKey: isKey, payload: payload)
      switch codec {
      case .h264, .hevc: return try nalFrame(&frame, codec)
      default: return try selfDescribingFrame(&frame, codec)
      }
    }
  }

  /// - Parameter timestamp: milliseconds, unwrapped. Frames come out in the clock of the format, by sample count.
  package mutating func audio(_ body: Slice, timestamp: Int64) throws(ParseError) -> FLVEvent {
    switch try FLVAudioPacket(body) {
    case .ignored: return .ignored
    case .sequenceEnd: return .endOfSequence
    case .unsupported(let name): return FLVDemuxer.report(name, &reportedAudio)
    case .sequenceStart(.aac, let record):
      let record = try FLVDemuxer.kept(record)
      samplesPerFrame = try AACConfiguration(record).samplesPerFrame
      let format = try TrackFormat.aac(record)
      return adopt(audio: format) ? .format(format, then: nil) : .ignored
    case .sequenceStart(.opus, let record):
      let format = try TrackFormat.opus(FLVDemuxer.kept(record))
      return adopt(audio: format) ? .format(format, then: nil) : .ignored
    case .sequenceStart: return .ignored
    case .coded(let codec, let isStereo, let payload): return try audioFrame(codec, isStereo, payload, timestamp)
    }
  }
}

extension FLVDemuxer {
  /// A copy of a decoder configuration, which outlives the message it came in.
  private static func kept(_ record: Slice) throws(ParseError) -> Slice {
    guard record.count <= maximumRecord else { throw .limit("a sequence header in bytes", maximum: maximumRecord) }
    return Slice(copying: record.bytes)
  }
}

// MARK: - Video

extension FLVDemuxer {
  private mutating func configure(_ codec: Codec, _ record: Slice) throws(ParseError) -> FLVEvent {
    let record = try FLVDemuxer.kept(record)
    let format: TrackFormat
    switch codec {
    case .h264:
      lengthSize = try H264Configuration(record).lengthSize
      format = try .h264(avcC: record)
      parameterSets = try ParameterSets(codec, record: record)
    case .hevc:
      lengthSize = try HEVCConfiguration(record).lengthSize
      format = try .hevc(hvcC: record)
      parameterSets = try ParameterSets(codec, record: record)
    case .av1: format = try .av1(av1C: record)
    default: format = try .vpx(codec, vpcC: record)
    }
    // VP8 and VP9 records have no size, so they are compared without it.
    if let old = videoFormat, old.codec == codec, old.configuration == format.configuration { return .ignored }
    return adopt(video: format, then: nil)
  }

  private mutating func adopt(video format: TrackFormat, then frame: Frame?) -> FLVEvent {
    videoFormat = format
    reportedVideo = false
    return .format(format, then: frame)
  }

  /// H.264 and HEVC: checks every length, takes in parameter sets, normalises the lengths to four bytes.
  private mutating func nalFrame(_ frame: inout Frame, _ codec: Codec) throws(ParseError) -> FLVEvent {
    if videoFormat?.codec != codec { videoFormat = nil }
    // Without a sequence header lengths are taken to have four bytes.
    if parameterSets?.codec != codec { lengthSize = 4 }
    var sets = parameterSets.flatMap { $0.codec == codec ? $0 : nil } ?? ParameterSets(codec)
    let changed = try scan(&frame, codec, &sets)
    parameterSets = sets
    if changed, sets.isComplete, let format = try? sets.format(), format != videoFormat {
      return adopt(video: format, then: frame)
    }
    guard videoFormat != nil else { return FLVDemuxer.report("\(codec) without parameter sets", &reportedVideo) }
    return .frame(frame)
  }

  /// Answers whether the parameter sets changed.
  private func scan(_ frame: inout Frame, _ codec: Codec, _ sets: inout ParameterSets) throws(ParseError) -> Bool {
    let payload = frame.payload
    let bytes = payload.bytes
    var offset = 0
    var changed = false
    while offset < bytes.byteCount {
      let length = try NALUnits.length(in: bytes, at: offset, size: lengthSize)
      let start = offset + lengthSize
      offset = start + length
      guard length > 0, let first = bytes.byte(at: start) else { continue }
      if ParameterSets.contains(first, of: codec) {
        if sets.absorb(payload.sub(start..<offset)) { changed = true }
      } else if codec == .h264 ? H264.nalType(first) == H264.NALType.idr : HEVC.NALType.randomAccess ~= HEVC.nalType(first) {
        // Some encoders forget the key-frame flag.
        frame.isKey = true
      }
    }
    frame.payload = try NALUnits.normalised(payload, lengthSize: lengthSize)
    return changed
  }

  /// AV1, VP8 and VP9 say all about themselves in their key frames.
  private mutating func selfDescribingFrame(_ frame: inout Frame, _ codec: Codec) throws(ParseError) -> FLVEvent {
    if codec == .av1 { frame.payload = try AV1.withoutTemporalDelimiters(frame.payload) }
    guard !frame.payload.isEmpty else { return .ignored }
    if frame.isKey, let format = changedFormat(frame.payload, codec) { return adopt(video: format, then: frame) }
    guard videoFormat?.codec == codec else { return FLVDemuxer.report("\(codec) before its first key frame", &reportedVideo) }
    return .frame(frame)
  }

  private func changedFormat(_ keyFrame: Slice, _ codec: Codec) -> TrackFormat? {
    let current = videoFormat?.codec == codec ? videoFormat : nil
    let format: TrackFormat?
    if codec == .av1 {
      format = try? TrackFormat.av1(keyFrame: keyFrame)
    } else if let current {
      format = try? current.withSize(ofKeyFrame: keyFrame)
    } else {
      format = try? TrackFormat.vpx(codec, keyFrame: keyFrame)
    }
    guard let format else { return nil }
    // Records differ in ways that decoders do not mind; what matters is size and profile.
    if let current, current.width == format.width, current.height == format.height, current.codecString == format.codecString {
      return nil
    }
    return format
  }
}

// MARK: - Audio

extension FLVDemuxer {
  /// Answers whether it is a change.
  private mutating func adopt(audio format: TrackFormat) -> Bool {
    guard format != audioFormat else { return false }
    if audioFormat?.timescale != format.timescale { audioClock = AudioClock(timescale: format.timescale) }
    audioFormat = format
    reportedAudio = false
    return true
  }

  private mutating func audioFrame(
    _ codec: Codec, _ isStereo: Bool, _ payload: Slice, _ timestamp: Int64
  ) throws(ParseError) -> FLVEvent {
    var samples = samplesPerFrame
    var format = audioFormat?.codec == codec ? audioFormat : nil
    switch codec {
    case .mp3:
      let header = try MP3Header(payload.bytes)
      samples = header.samplesPerFrame * (header.frameLength > 0 ? max(1, payload.count / header.frameLength) : 1)
      format = .mp3(header)
    case .opus:
      samples = try OpusConfiguration.duration(of: payload)
      if format == nil { format = try .opus(packet: payload) }
    case .g711a, .g711u:
      format = .g711(codec, channels: isStereo ? 2 : 1)
      samples = payload.count / (isStereo ? 2 : 1)
    default: break
    }
    guard let format else { return FLVDemuxer.report("\(codec) without a sequence header", &reportedAudio) }
    let isChange = adopt(audio: format)
    let time = audioClock.stamp(milliseconds: timestamp, samples: samples)
    let frame = Frame(track: audioTrack, dts: time, pts: time, isKey: true, payload: payload)
    return isChange ? .format(format, then: frame) : .frame(frame)
  }

  private static func report(_ name: String, _ reported: inout Bool) -> FLVEvent {
    if reported { return .ignored }
    reported = true
    return .unsupported(name)
  }
}

internal import MartletCodecs
internal import MartletPrimitives
internal import MartletRTP

/// The packets of one track as frames: put in order, assembled, with the formats that decoders need. Times are in the track's RTP
/// clock; `PublisherClock` puts tracks in step.
internal struct TrackIngest {
  internal enum Output {
    case format(TrackFormat)
    /// Its track is to be filled in.
    case frame(Frame)
    /// Something is missing: pictures cannot go on before a key frame.
    case lost
  }

  internal let codec: Codec
  private let clockRate: Int32
  private var jitter: JitterBuffer
  private var depacketizer: RTPDepacketizer
  private var sets: ParameterSets?
  private var format: TrackFormat?
  private var awaitsKey: Bool
  private var ordered: [JitterBuffer.Output] = []
  private var events: [DepacketizerEvent] = []

  /// `nil` for a codec that has no frames here.
  internal init?(_ codec: Codec, clockRate: UInt32) {
    guard let depacketizer = RTPDepacketizer(codec) else { return nil }
    self.codec = codec
    self.clockRate = Int32(clamping: clockRate)
    self.depacketizer = depacketizer
    var limits = JitterLimits()
    // Sound is small and goes on; pictures that miss a part wait for the retransmission.
    limits.wait = codec.kind == .audio ? .milliseconds(120) : .milliseconds(250)
    limits.packets = codec.kind == .audio ? 256 : 2048
    jitter = JitterBuffer(limits: limits)
    sets = codec == .h264 || codec == .hevc ? ParameterSets(codec) : nil
    awaitsKey = codec.kind == .video
  }

  internal var deadline: Instant? { jitter.deadline }

  /// All frames are made; else key frames alone, which tell of what format a track is and what it looks like.
  internal var isRead = true {
    didSet { if isRead != oldValue { restart() } }
  }
  /// The key frame that is being made while others are not.
  private var keyFrame: UInt32?

  private mutating func restart() {
    jitter.restart()
    if let fresh = RTPDepacketizer(codec) { depacketizer = fresh }
    awaitsKey = codec.kind == .video
    keyFrame = nil
  }

  /// Whether the packet is to be received; no frame is made of the others.
  internal mutating func wants(_ header: RTPHeader, startsKeyFrame: Bool) -> Bool {
    if isRead || format == nil { return true }
    if startsKeyFrame, codec.kind == .video, keyFrame != header.timestamp {
      restart()
      keyFrame = header.timestamp
    }
    if keyFrame == header.timestamp { return true }
    jitter.pass(timestamp: header.timestamp)
    return false
  }

  internal mutating func receive(_ header: RTPHeader, _ payload: Slice, now: Instant, into output: inout [Output]) {
    jitter.receive(
      sequence: header.sequenceNumber, timestamp: header.timestamp, marker: header.marker, payload: payload, now: now, into: &ordered)
    drain(&output)
  }

  internal mutating func timeout(now: Instant, into output: inout [Output]) {
    jitter.timeout(now: now, into: &ordered)
    drain(&output)
  }

  private mutating func drain(_ output: inout [Output]) {
    for item in ordered {
      if case .packet(let packet) = item { depacketizer.receive(packet, into: &events) }
    }
    ordered.removeAll(keepingCapacity: true)
    for event in events {
      switch event {
      case .unit(let unit): take(unit, &output)
      case .lost:
        guard codec.kind == .video else { continue }
        awaitsKey = true
        output.append(.lost)
      }
    }
    events.removeAll(keepingCapacity: true)
  }

  private mutating func take(_ unit: AccessUnit, _ output: inout [Output]) {
    if awaitsKey {
      guard unit.isKey else { return }
      awaitsKey = false
    }
    var payload = unit.payload
    if unit.isKey, let found = formatOfKeyFrame(&payload), found != format {
      format = found
      output.append(.format(found))
    } else if sets != nil, !unit.isKey {
      payload = withoutSets(payload)
    }
    guard format != nil, !payload.isEmpty else { return }
    output.append(
      .frame(Frame(track: 0, dts: unit.timestamp, pts: unit.timestamp, isKey: unit.isKey || codec.kind == .audio, payload: payload)))
  }

  /// What a key frame says of itself; parameter sets leave it, since the format has them.
  private mutating func formatOfKeyFrame(_ payload: inout Slice) -> TrackFormat? {
    switch codec {
    case .h264, .hevc:
      payload = withoutSets(payload)
      guard let sets, sets.isComplete else { return nil }
      return try? sets.format(timescale: clockRate)
    case .av1: return (try? TrackFormat.av1(keyFrame: payload, timescale: clockRate)) ?? nil
    case .vp8, .vp9: return (try? TrackFormat.vpx(codec, keyFrame: payload, timescale: clockRate)) ?? nil
    case .opus: return format ?? (try? TrackFormat.opus(OpusConfiguration(channels: 2).write()))
    case .g711a, .g711u: return TrackFormat.g711(codec)
    case .g722: return .g722
    case .aac, .mp3, .data: return nil
    }
  }

  private mutating func withoutSets(_ accessUnit: Slice) -> Slice {
    guard var sets else { return accessUnit }
    defer { self.sets = sets }
    var units = NALUnits(accessUnit)
    var kept: [Slice] = []
    var dropped = false
    while let unit = try? units.next() {
      guard let first = unit.bytes.byte(at: 0) else { continue }
      if ParameterSets.contains(first, of: codec) {
        sets.absorb(unit)
        dropped = true
      } else if isDelimiter(first) {
        dropped = true
      } else {
        kept.append(unit)
      }
    }
    guard dropped else { return accessUnit }
    var writer = ByteWriter(capacity: accessUnit.count)
    for unit in kept {
      writer.u32(UInt32(truncatingIfNeeded: unit.count))
      writer.append(unit)
    }
    return writer.slice
  }

  private func isDelimiter(_ first: UInt8) -> Bool { codec == .h264 ? first & 0x1f == 9 : first >> 1 & 0x3f == 35 }
}

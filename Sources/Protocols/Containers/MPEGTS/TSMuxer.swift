package import MartletCodecs
package import MartletPrimitives

/// Why tracks cannot become a transport stream.
package enum TSError: Error, Equatable, Sendable {
  /// MPEG-TS has no widely read mapping for it: AV1, VP8, VP9, G.711.
  case unsupported(Codec)
  /// The format's decoder configuration cannot be read.
  case configuration(Codec, ParseError)
  /// More than fit one PMT packet.
  case tooManyTracks(maximum: Int)
}

/// Frames → MPEG-2 transport stream (ISO/IEC 13818-1), for HTTP-TS and HLS. Output is always whole packets of 188 bytes.
///
/// Program tables go out before every key frame and at least every 100 ms of media time, so does the clock, on the video's
/// PID or, without video, the first audio's. All times are shifted by a constant, so that none is negative.
package struct TSMuxer: Sendable {
  package struct Options: Sendable {
    /// Audio frames that may share a PES packet, as long as they span at most 100 ms. More is less overhead and more
    /// latency: above 1 call `flush` at a cut.
    package var audioFramesPerPES = 1
    /// Added to every time, in 90 kHz ticks: 1.4 s.
    package var timeOffset: Int64 = 126_000
    /// How far the clock runs ahead of the decode times, in 90 kHz ticks: 200 ms for a decoder's buffers.
    package var clockLead: Int64 = 18_000
    package init() {}
  }

  private struct Pending: Sendable { var bytes: [UInt8] = [], frames = 0, first: Int64 = 0 }

  private static let pmtPID: UInt16 = 0x1000, firstPID: UInt16 = 0x100
  private static let maximumTracks = 8
  /// 100 ms: the longest wait for tables and for a clock.
  private static let interval: Int64 = 9_000

  private let options: Options
  /// By track index; `nil` for data tracks, which are left out.
  private var tracks: [TSTrack?] = []
  private let clockTrack: Int
  private let pmt: [UInt8]
  private var writer = TSPacketWriter()
  private var pending: [Pending]
  /// In unshifted 90 kHz ticks.
  private var lastTables: Int64?
  private var lastClock: Int64?
  /// Tables were just written, so a key frame needs none.
  private var tablesAreFresh = false
  private var lastTime: Int64 = 0
  /// The recent widest step between frames: what is due before the next frame comes must go out now.
  private var widestStep: Int64 = 0
  private var scratch: [UInt8] = []

  /// - Parameters:
  ///   - formats: by track index. Data tracks are accepted and left out.
  ///   - earlier: the muxer whose output this one's follows: continuity counters go on (§2.4.3.3), so that readers which do
  ///     not know of the change miss no packet.
  package init(formats: [TrackFormat], options: Options = Options(), after earlier: TSMuxer? = nil) throws(TSError) {
    guard formats.count <= TSMuxer.maximumTracks else { throw .tooManyTracks(maximum: TSMuxer.maximumTracks) }
    self.options = options
    for (index, format) in formats.enumerated() {
      tracks.append(format.kind == .data ? nil : try TSTrack(format, pid: TSMuxer.firstPID + UInt16(index)))
    }
    if let earlier { writer = earlier.writer }
    pending = Array(repeating: Pending(), count: formats.count)
    clockTrack = tracks.firstIndex { $0?.format.kind == .video } ?? tracks.firstIndex { $0 != nil } ?? 0
    pmt = TSMuxer.programMap(tracks.compactMap { $0 }, clockPID: TSMuxer.firstPID + UInt16(clockTrack))
  }

  /// Appends the packets of a frame. Frames of a track come in decode order; those of tracks that were not announced are
  /// passed over.
  package mutating func mux(_ frame: Frame, into output: inout [UInt8]) {
    let index = Int(frame.track)
    guard index < tracks.count, let track = tracks[index] else { return }
    let dts = MediaTime.rescale(frame.dts, from: track.format.timescale, to: 90_000)
    let isVideo = track.format.kind == .video
    let step = dts &- lastTime
    widestStep = max(widestStep * 15 / 16, 0...TSMuxer.interval ~= step ? step : 0)
    lastTime = dts
    if !tablesAreFresh, isVideo && frame.isKey || isDue(lastTables, dts) {
      flush(into: &output)
      tables(into: &output)
    }
    if tablesAreFresh {
      lastTables = dts
      tablesAreFresh = false
    }
    if isVideo {
      let pts = MediaTime.rescale(max(frame.pts, frame.dts), from: track.format.timescale, to: 90_000)
      scratch.removeAll(keepingCapacity: true)
      PESHeader.append(streamID: track.streamID, pts: shifted(pts), dts: shifted(dts), payloadCount: nil, to: &scratch)
      _ = track.append(frame, to: &scratch)
      emit(index, track, dts, isRandomAccess: frame.isKey, into: &output)
    } else {
      collect(frame, index, track, dts, into: &output)
    }
  }

  /// Appends PAT and PMT, as at the start of a segment.
  package mutating func tables(into output: inout [UInt8]) {
    writer.appendSection(TSMuxer.programAssociation, pid: 0, to: &output)
    writer.appendSection(pmt, pid: TSMuxer.pmtPID, to: &output)
    tablesAreFresh = true
  }

  /// Appends audio that still waits to share a PES packet.
  package mutating func flush(into output: inout [UInt8]) {
    for (index, track) in tracks.enumerated() {
      if let track, pending[index].frames > 0 { emitAudio(index, track, into: &output) }
    }
  }
}

extension TSMuxer {
  private mutating func collect(_ frame: Frame, _ index: Int, _ track: TSTrack, _ dts: Int64, into output: inout [UInt8]) {
    // A PES of audio must say its length in 16 bits; a group spans at most 100 ms and has no gap.
    let limit = 60_000
    let span = dts &- pending[index].first
    if pending[index].frames > 0, pending[index].bytes.count + frame.payload.count > limit || span < 0 || span > 9_000 {
      emitAudio(index, track, into: &output)
    }
    let mark = pending[index].bytes.count
    guard frame.payload.count <= limit, track.append(frame, to: &pending[index].bytes) else {
      pending[index].bytes.removeSubrange(mark...)
      return
    }
    if pending[index].frames == 0 { pending[index].first = dts }
    pending[index].frames += 1
    if pending[index].frames >= options.audioFramesPerPES { emitAudio(index, track, into: &output) }
  }

  private mutating func emitAudio(_ index: Int, _ track: TSTrack, into output: inout [UInt8]) {
    let time = pending[index].first
    scratch.removeAll(keepingCapacity: true)
    PESHeader.append(
      streamID: track.streamID, pts: shifted(time), dts: shifted(time), payloadCount: pending[index].bytes.count, to: &scratch)
    scratch.append(contentsOf: pending[index].bytes)
    pending[index].bytes.removeAll(keepingCapacity: true)
    pending[index].frames = 0
    emit(index, track, time, isRandomAccess: index == clockTrack, into: &output)
  }

  private mutating func emit(_ index: Int, _ track: TSTrack, _ dts: Int64, isRandomAccess: Bool, into output: inout [UInt8]) {
    var start = TSPacketWriter.Start(isRandomAccess: isRandomAccess)
    if index == clockTrack {
      setClock(dts, in: &start)
    } else if isDue(lastClock, dts) {
      // Video pauses or is slower than 10 pictures a second: its clock goes on without it.
      var clock = TSPacketWriter.Start()
      setClock(dts, in: &clock)
      writer.appendClock(pid: TSMuxer.firstPID + UInt16(clockTrack), start: clock, to: &output)
    }
    writer.append(scratch, pid: track.pid, start: start, to: &output)
  }

  /// The clock never goes back, unless the time line itself jumps, which it then says.
  private mutating func setClock(_ dts: Int64, in start: inout TSPacketWriter.Start) {
    if let lastClock {
      let step = dts &- lastClock
      if step <= 0, step > -90_000 { return }
      start.isDiscontinuity = step < 0 || step > 900_000
    }
    lastClock = dts
    start.clock = shifted(dts &- options.clockLead)
  }

  private func isDue(_ last: Int64?, _ now: Int64) -> Bool {
    guard let last else { return true }
    let step = now &- last
    return step > TSMuxer.interval - widestStep || step < -90_000
  }

  /// On the wire: 33 bits.
  private func shifted(_ time: Int64) -> UInt64 { UInt64(bitPattern: time &+ options.timeOffset) & 0x1_ffff_ffff }
}

// MARK: - Program tables (§2.4.4)

extension TSMuxer {
  private static let programAssociation = section(table: 0, id: 1, [0, 1, 0xe0 | UInt8(pmtPID >> 8), UInt8(pmtPID & 0xff)])

  private static func programMap(_ tracks: [TSTrack], clockPID: UInt16) -> [UInt8] {
    var body: [UInt8] = [0xe0 | UInt8(clockPID >> 8), UInt8(clockPID & 0xff), 0xf0, 0]
    for track in tracks {
      body += [track.streamType, 0xe0 | UInt8(track.pid >> 8), UInt8(track.pid & 0xff), 0xf0, UInt8(track.descriptors.count)]
      body += track.descriptors
    }
    return section(table: 2, id: 1, body)
  }

  private static func section(table: UInt8, id: UInt16, _ body: [UInt8]) -> [UInt8] {
    let length = body.count + 9
    var bytes: [UInt8] = [table, 0xb0 | UInt8(length >> 8), UInt8(length & 0xff), UInt8(id >> 8), UInt8(id & 0xff), 0xc1, 0, 0]
    bytes += body
    let crc = CRC32.mpeg2(bytes)
    return bytes + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: crc >> UInt32($0)) }
  }
}

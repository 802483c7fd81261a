package import MartletCodecs
internal import MartletPrimitives

/// Why tracks cannot become fragmented MP4.
package enum MP4Error: Error, Equatable, Sendable {
  case unsupported(Codec)
  case tooManyTracks(maximum: Int)
}

/// Frames → fragmented MP4 (ISO/IEC 14496-12 §8.8): an initialization segment, then fragments of any frames of any tracks.
///
/// A fragment may be a single frame, sent the moment it arrived, as Media Source Extensions take it over a WebSocket; or a
/// whole segment. Decode times are those of the stream in the track's own timescale, in 64 bits. A format change needs a
/// new muxer and its initialization segment.
package struct FMP4Muxer: Sendable {
  package struct Options: Sendable {
    /// Whole seconds added to every time, for time lines that begin below zero. Times still negative become 0.
    package var timeOffset: Int64 = 0
    /// Writes `styp` before each fragment, as segments that are files of their own have it.
    package var writesSegmentType = false
    package init() {}
  }

  private struct Track: Sendable {
    var id: UInt32
    var format: TrackFormat
    var durations: SampleDurations
  }

  private static let maximumTracks = 16

  private let options: Options
  /// By track index; `nil` for data tracks, which are left out.
  private var tracks: [Track?] = []
  private var sequence: UInt32 = 0

  /// - Parameter formats: by track index. Data tracks are accepted and left out.
  package init(formats: [TrackFormat], options: Options = Options()) throws(MP4Error) {
    guard formats.count <= FMP4Muxer.maximumTracks else { throw .tooManyTracks(maximum: FMP4Muxer.maximumTracks) }
    self.options = options
    for (index, format) in formats.enumerated() {
      guard format.kind != .data else {
        tracks.append(nil)
        continue
      }
      guard SampleEntry.isSupported(format.codec) else { throw .unsupported(format.codec) }
      tracks.append(Track(id: UInt32(index + 1), format: format, durations: SampleDurations(format)))
    }
  }

  /// `ftyp` and `moov`.
  package func initialization() -> [UInt8] {
    FMP4Initialization.write(tracks.compactMap { $0 }.map { ($0.id, $0.format) })
  }

  /// What `MediaSource.isTypeSupported` and `addSourceBuffer` want: `video/mp4; codecs="avc1.64001f,mp4a.40.2"`.
  package var mimeType: String {
    let formats = tracks.compactMap { $0?.format }
    let kind = formats.contains { $0.kind == .video } ? "video" : "audio"
    return "\(kind)/mp4; codecs=\"\(formats.map(\.codecString).joined(separator: ","))\""
  }

  /// One `moof` and `mdat`; empty when no frame is of an announced track.
  /// - Parameters:
  ///   - frames: of each track in decode order; tracks may be mixed.
  ///   - ends: by track index, the decode time of the first frame behind the fragment, where it is known. It gives the last
  ///     frame its duration; else that is estimated.
  package mutating func fragment(_ frames: [Frame], ends: [Int64?] = []) -> [UInt8] {
    var runs: [Run] = []
    for index in tracks.indices {
      guard var track = tracks[index] else { continue }
      let own = frames.filter { Int($0.track) == index }
      guard !own.isEmpty else { continue }
      let end = index < ends.count ? ends[index] : nil
      let samples = track.durations.samples(own, end: end)
      runs.append(Run(id: track.id, isVideo: track.format.kind == .video, start: baseTime(own[0].dts, track.format), samples: samples))
      tracks[index] = track
    }
    guard !runs.isEmpty else { return [] }
    sequence &+= 1
    return write(runs)
  }

  private func baseTime(_ dts: Int64, _ format: TrackFormat) -> UInt64 {
    let (time, overflow) = dts.addingReportingOverflow(options.timeOffset &* Int64(format.timescale))
    return overflow ? (dts < 0 ? 0 : UInt64(Int64.max)) : UInt64(max(0, time))
  }
}

// MARK: - Writing

extension FMP4Muxer {
  private struct Run {
    var id: UInt32
    var isVideo: Bool
    var start: UInt64
    var samples: [SampleDurations.Sample]
    var byteCount: Int { samples.reduce(0) { $0 + $1.frame.payload.count } }
  }

  private func write(_ runs: [Run]) -> [UInt8] {
    let bytes = runs.reduce(0) { $0 + $1.byteCount }
    let count = runs.reduce(0) { $0 + $1.samples.count }
    var writer = ByteWriter(capacity: bytes + count * 16 + runs.count * 80 + 64)
    if options.writesSegmentType {
      writer.box("styp") { writer in
        writer.string("msdh")
        writer.u32(0)
        writer.string("msdhmsix")
      }
    }
    let start = writer.count
    var offsets: [Int] = []
    writer.box("moof") { writer in
      writer.fullBox("mfhd") { $0.u32(sequence) }
      for run in runs { offsets.append(FMP4Muxer.trackFragment(run, &writer)) }
    }
    // Each run's data begins behind moof, the head of mdat and the runs before it.
    var dataOffset = writer.count - start + 8
    for (run, offset) in zip(runs, offsets) {
      writer.patchU32(UInt32(truncatingIfNeeded: dataOffset), at: offset)
      dataOffset += run.byteCount
    }
    writer.box("mdat") { writer in
      for run in runs { for sample in run.samples { writer.append(sample.frame.payload) } }
    }
    return writer.bytes
  }

  /// Answers where the run's data offset stands, to be patched.
  private static func trackFragment(_ run: Run, _ writer: inout ByteWriter) -> Int {
    var patch = 0
    writer.box("traf") { writer in
      // default-base-is-moof, and default flags: a sample that depends on no other.
      writer.fullBox("tfhd", flags: 0x02_0020) { writer in
        writer.u32(run.id)
        writer.u32(sync)
      }
      writer.fullBox("tfdt", version: 1) { $0.u64(run.start) }
      // Data offset, durations and sizes; of video also flags and composition offsets.
      writer.fullBox("trun", version: 1, flags: run.isVideo ? 0xf01 : 0x301) { writer in
        writer.u32(UInt32(truncatingIfNeeded: run.samples.count))
        patch = writer.count
        writer.u32(0)
        for sample in run.samples {
          writer.u32(sample.duration)
          writer.u32(UInt32(truncatingIfNeeded: sample.frame.payload.count))
          guard run.isVideo else { continue }
          writer.u32(sample.frame.isKey ? sync : notSync)
          writer.u32(UInt32(bitPattern: Int32(clamping: sample.frame.pts &- sample.frame.dts)))
        }
      }
    }
    return patch
  }

  /// sample_depends_on 2; sample_depends_on 1 and sample_is_non_sync_sample (§8.8.3.1).
  private static let sync: UInt32 = 0x0200_0000, notSync: UInt32 = 0x0101_0000
}

internal import MartletCodecs
internal import MartletPrimitives

/// How long each sample of a track lasts. Where the next frame is known, until it; where it is not, as for a fragment sent
/// the moment its only frame arrived, audio says it itself and video is estimated.
///
/// The estimate errs on the long side: browsers let frames overlap, but take a gap of more than twice a frame's duration for
/// a discontinuity and then drop all up to the next key frame (Media Source Extensions §3.5.8, step 1.6).
struct SampleDurations: Sendable {
  struct Sample {
    var frame: Frame
    /// In ticks of the track.
    var duration: UInt32
  }

  private let timescale: Int64
  private let codec: Codec
  private let aacSamples: Int64
  /// What a frame lasts by the format, or by what was seen.
  private var nominal: Int64
  /// The widest recent step, which decays.
  private var widest: Int64 = 0
  private var last: Int64?

  init(_ format: TrackFormat) {
    timescale = Int64(max(format.timescale, 1))
    codec = format.codec
    aacSamples = Int64((try? AACConfiguration(format.configuration).samplesPerFrame) ?? 1024)
    let rate = format.frameRate > 0 ? format.frameRate : 25
    nominal = max(1, Int64(clamping: (Double(timescale) / rate).rounded(.up)))
  }

  /// - Parameter frames: in decode order, not empty.
  mutating func samples(_ frames: [Frame], end: Int64?) -> [Sample] {
    var samples: [Sample] = []
    samples.reserveCapacity(frames.count)
    for (index, frame) in frames.enumerated() {
      observe(frame.dts)
      let next = index + 1 < frames.count ? frames[index + 1].dts : end
      samples.append(Sample(frame: frame, duration: duration(of: frame, next: next)))
    }
    return samples
  }

  private mutating func observe(_ dts: Int64) {
    if let last {
      let step = dts &- last
      if step > 0, step <= timescale { widest = max(widest - widest / 16, step) }
    }
    last = dts
  }

  private func duration(of frame: Frame, next: Int64?) -> UInt32 {
    if let next {
      let step = next &- frame.dts
      // Beyond ten seconds it is a jump, not a pause.
      if step >= 0, step <= 10 * timescale { return UInt32(clamping: step) }
    }
    return UInt32(clamping: estimate(frame))
  }

  private func estimate(_ frame: Frame) -> Int64 {
    switch codec {
    case .aac: return aacSamples
    case .opus: return Int64((try? OpusConfiguration.duration(of: frame.payload)) ?? 960)
    case .mp3: return Int64((try? MP3Header(frame.payload.bytes).samplesPerFrame) ?? 1152)
    default: return max(nominal, widest)
    }
  }
}

package import MartletCodecs
package import MartletPrimitives

/// What streams are made of, whatever protocol carries them: formats, and the frames that follow them.
///
/// A stream has at most one track of each kind. A format comes before the first frame of its kind, and again whenever it
/// changes.
public enum MediaPacket: Sendable, Equatable {
  case format(MediaFormat)
  case frame(MediaFrame)
}

/// One picture, one packet of sound, or one message that travels with them.
public struct MediaFrame: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    case video, audio, data

    internal init(_ kind: MediaKind) {
      switch kind {
      case .video: self = .video
      case .audio: self = .audio
      case .data: self = .data
      }
    }
  }

  public var kind: Kind
  /// When to decode, on the stream's own time line, which begins anywhere. Never falls within a kind. RTMP and FLV keep
  /// milliseconds.
  public var decodeTime: Duration
  /// When to show: not before `decodeTime`, and later where the encoder reorders (B-frames).
  public var presentationTime: Duration
  /// Decoding can start here. True for sound and data.
  public var isKey: Bool
  package var slice: Slice

  /// - Parameters:
  ///   - presentationTime: `decodeTime` unless given.
  ///   - payload: NAL units each behind a length of four bytes, big-endian (H.264, HEVC); OBUs without temporal delimiters
  ///     (AV1); a raw frame (VP8, VP9, AAC without ADTS, Opus, MP3, G.711); AMF0 (data).
  public init(_ kind: Kind, at decodeTime: Duration, shownAt presentationTime: Duration? = nil, isKey: Bool = true, payload: [UInt8]) {
    self.init(kind, at: decodeTime, shownAt: presentationTime, isKey: isKey, Slice(payload))
  }

  package init(_ kind: Kind, at decodeTime: Duration, shownAt presentationTime: Duration?, isKey: Bool, _ payload: Slice) {
    self.kind = kind
    self.decodeTime = decodeTime
    self.presentationTime = presentationTime ?? decodeTime
    self.isKey = isKey
    slice = payload
  }

  public var payload: [UInt8] {
    get { slice.array }
    set { slice = Slice(newValue) }
  }
}

// MARK: - The clocks of tracks

extension MediaFrame {
  /// A frame whose times are in the clock of `format`.
  package init(_ frame: Frame, _ format: TrackFormat) {
    let time = { (ticks: Int64) in
      Duration.nanoseconds(MediaTime.rescale(ticks, from: format.timescale, to: 1_000_000_000))
    }
    self.init(Kind(format.kind), at: time(frame.dts), shownAt: time(frame.pts), isKey: frame.isKey, frame.payload)
  }

  /// The frame in the clock of `format`, on track `index`.
  package func frame(in format: TrackFormat, track index: UInt8) -> Frame {
    let ticks = { (time: Duration) in
      MediaTime.rescale(TimeSpan(time).nanoseconds, from: 1_000_000_000, to: format.timescale)
    }
    return Frame(track: index, dts: ticks(decodeTime), pts: ticks(presentationTime), isKey: isKey, payload: slice)
  }
}

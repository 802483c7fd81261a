package import MartletCodecs
internal import MartletContainers
internal import MartletPrimitives

/// What a decoder must know before the first frame of a track: the codec and its configuration record.
public struct MediaFormat: Sendable, Equatable {
  public enum Codec: String, Sendable, CaseIterable {
    case h264, hevc, av1, vp8, vp9
    case aac, mp3, opus, g711a, g711u
    /// Of WebRTC; neither RTMP nor FLV has a place for it.
    case g722
    /// Messages that travel with the media: AMF0 in RTMP and FLV.
    case data
  }

  package let track: TrackFormat

  /// Reads the configuration record, from which the other properties come.
  ///
  /// - Parameters:
  ///   - configuration: as ISO BMFF stores it (ISO/IEC 14496-15 and its kin): the content of `avcC`, `hvcC`, `av1C` or
  ///     `vpcC`, an AudioSpecificConfig for AAC (ISO/IEC 14496-3), an identification header for Opus (RFC 7845 §5.1, with or
  ///     without `OpusHead`). None for MP3, G.711, G.722 and data.
  ///   - sampleRate: in hertz, for MP3 and G.711.
  ///   - channels: for MP3 and G.711, 1 or 2.
  /// - Throws: `MediaError` when the record is none of this codec.
  public init(
    _ codec: Codec, configuration: [UInt8] = [], sampleRate: Int = 44_100, channels: Int = 2
  ) throws(MediaError) {
    guard 1...384_000 ~= sampleRate else { throw MediaError("a sample rate of \(sampleRate) Hz, expected 1 to 384,000") }
    guard 1...2 ~= channels else { throw MediaError("\(channels) channels, expected 1 or 2") }
    let record = Slice(configuration)
    do throws(ParseError) {
      switch codec {
      case .h264: track = try .h264(avcC: record)
      case .hevc: track = try .hevc(hvcC: record)
      case .av1: track = try .av1(av1C: record)
      case .vp8: track = try .vpx(.vp8, vpcC: record)
      case .vp9: track = try .vpx(.vp9, vpcC: record)
      case .aac: track = try .aac(record)
      case .opus: track = try .opus(record)
      case .mp3: track = .mp3(sampleRate: sampleRate, channels: channels)
      case .g711a: track = .g711(.g711a, sampleRate: sampleRate, channels: channels)
      case .g711u: track = .g711(.g711u, sampleRate: sampleRate, channels: channels)
      case .g722: track = .g722
      case .data: track = .data
      }
    } catch { throw MediaError("the configuration of \(codec.rawValue): \(error)") }
  }

  package init(_ track: TrackFormat) { self.track = track }

  public var codec: Codec {
    switch track.codec {
    case .h264: .h264
    case .hevc: .hevc
    case .av1: .av1
    case .vp8: .vp8
    case .vp9: .vp9
    case .aac: .aac
    case .mp3: .mp3
    case .opus: .opus
    case .g711a: .g711a
    case .g711u: .g711u
    case .g722: .g722
    case .data: .data
    }
  }

  public var kind: MediaFrame.Kind { MediaFrame.Kind(track.kind) }
  /// As given to `init`; Opus without `OpusHead`.
  public var configuration: [UInt8] { track.configuration.array }
  /// The name that browsers and playlists know (RFC 6381): `avc1.64001f`, `mp4a.40.2`, `opus`. Empty for data.
  public var codecString: String { track.codecString }
  /// Pixels of a picture as shown; 0 for sound.
  public var width: Int { track.width }
  public var height: Int { track.height }
  /// Pictures a second when the stream says so, else 0.
  public var frameRate: Double { track.frameRate }
  /// Hertz; 0 for pictures.
  public var sampleRate: Int { track.sampleRate }
  /// 0 for pictures.
  public var channels: Int { track.channels }
}

/// Media that is not what it should be. The sentence says what was found where.
public struct MediaError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String
  internal init(_ description: String) { self.description = description }
}

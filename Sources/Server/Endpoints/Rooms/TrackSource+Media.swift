internal import MartletCodecs
internal import MartletPrimitives
internal import MartletRooms

// What a participant's tracks are in the streams that it publishes.
extension TrackSource {
  internal var kind: MediaKind {
    switch self {
    case .microphone, .screenAudio: .audio
    case .camera, .screen: .video
    }
  }

  /// Kinds of one stream that are among the sources.
  internal static func kinds(_ sources: Set<TrackSource>, ofScreen: Bool) -> Set<MediaKind> {
    Set(sources.filter { $0.isOfScreen == ofScreen }.map(\.kind))
  }

  /// As the home of a room writes them.
  internal static func sources(_ json: JSON?) -> Set<TrackSource> {
    Set((json?.arrayValue ?? []).compactMap { $0.stringValue.flatMap(TrackSource.init(rawValue:)) })
  }
}

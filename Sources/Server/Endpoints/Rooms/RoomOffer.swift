internal import MartletPrimitives
package import MartletRooms

/// An offer to the server: `{"do": "offer", "sdp", "tracks": [{"mid", "source"}], "subscribe": [{"mid", "participant", "source"}]}`.
/// Each one says everything: what it does not name is not sent any more.
package struct RoomOffer: Sendable {
  package struct Subscription: Hashable, Sendable {
    package let participant: ParticipantID
    package let source: TrackSource
  }

  package let sdp: String
  /// The media connection that this goes on with; a new one otherwise.
  package let session: String?
  /// By `mid`.
  package let tracks: [String: TrackSource]
  package let subscriptions: [String: Subscription]

  /// Sections of an offer; browsers take no more.
  package static let maximumSections = 256

  package init(_ fields: CommandFields) throws(RoomError) {
    sdp = try fields.word("sdp")
    session = try fields.text("session", limit: 64)
    var tracks: [String: TrackSource] = [:]
    for entry in try fields.entries("tracks", limit: RoomLimits.tracks) { tracks[try entry.word("mid")] = try Self.source(entry) }
    var subscriptions: [String: Subscription] = [:]
    for entry in try fields.entries("subscribe", limit: Self.maximumSections) {
      subscriptions[try entry.word("mid")] = Subscription(participant: try entry.participant("participant"), source: try Self.source(entry))
    }
    self.tracks = tracks
    self.subscriptions = subscriptions
  }

  internal static func source(_ entry: CommandFields) throws(RoomError) -> TrackSource {
    guard let source = TrackSource(rawValue: try entry.word("source")) else {
      throw .badCommand("\"source\" is one of \(TrackSource.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return source
  }
}

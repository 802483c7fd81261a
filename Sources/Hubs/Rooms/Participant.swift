package import MartletPrimitives

/// Somebody in a room, whatever it is connected by.
package struct Participant: Sendable {
  package let id: ParticipantID
  package let key: ParticipantKey
  package internal(set) var name: String
  /// What it says of itself.
  package internal(set) var info: JSON?
  package internal(set) var grant: RoomGrant
  package let remote: SocketAddress
  package let joined: WallTime
  package internal(set) var muted: Set<TrackSource> = []
  /// What a moderator has muted, until it is unmuted: of that nothing is passed on, whatever comes.
  package internal(set) var silenced: Set<TrackSource> = []
  /// What it publishes through the server.
  package internal(set) var tracks: [RoomTrack] = []
  let isMeshOnly: Bool
  let canRelay: Bool
  /// An encoder that publishes the stream `rooms/ROOM/ID` by another protocol, and hears nothing of the room.
  package let isStream: Bool
  /// What it was last heard of.
  var seen: Instant
  /// While it speaks.
  var loudness: Int?
  package internal(set) var uplink: Uplink?
  var unreachable: Set<ParticipantID> = []
  /// Commands in this second.
  var commands = 0
  /// Offers in this second, by whom they are for; `nil` is the server.
  var offers: [ParticipantID?: Int] = [:]

  package var user: String? { grant.user }
  package var tokenID: String? { grant.tokenID }

  /// As everybody sees it.
  package var json: JSON {
    var object = JSON.Object()
    object["id"] = .string(id.text)
    object["name"] = .string(name)
    if let info { object["info"] = info }
    if let user { object["user"] = .string(user) }
    object["joined"] = .int(joined.milliseconds)
    object["muted"] = .array(muted.map(\.rawValue).sorted().map { .string($0) })
    if !silenced.isEmpty { object["silenced"] = .array(silenced.map(\.rawValue).sorted().map { .string($0) }) }
    object["tracks"] = .array(tracks.map(\.json))
    return .object(object)
  }
}

/// What somebody can send, as it says.
package struct Uplink: Equatable, Sendable {
  /// Bits a second.
  package let bitrate: Int
  /// It would send more if it could; otherwise that is what it has got to, not what there is.
  package let isLimited: Bool

  package init(bitrate: Int, isLimited: Bool = true) { (self.bitrate, self.isLimited) = (bitrate, isLimited) }

  /// As far as is known.
  func carries(_ needed: Int) -> Bool { !isLimited || bitrate >= needed }
}

/// What a track shows or lets hear.
package enum TrackSource: String, Sendable, CaseIterable {
  case microphone, camera, screen
  case screenAudio = "screen-audio"

  /// What is shared from a screen is a stream of its own, beside camera and microphone.
  package var isOfScreen: Bool { self == .screen || self == .screenAudio }
}

/// What of a track somebody watches.
package struct TrackWish: Equatable, Sendable {
  package let source: TrackSource
  package let isWanted: Bool
  /// Names of the simulcast layers that are; empty without simulcast.
  package let layers: [String]

  package init(_ source: TrackSource, isWanted: Bool, layers: [String]) {
    (self.source, self.isWanted, self.layers) = (source, isWanted, layers)
  }

  package var json: JSON {
    ["source": .string(source.rawValue), "wanted": .bool(isWanted), "layers": .array(layers.map { .string($0) })]
  }
}

/// A track that is passed on by the server.
package struct RoomTrack: Equatable, Sendable {
  package let source: TrackSource
  /// Names of its simulcast layers, best first; empty without.
  package let layers: [String]

  package init(_ source: TrackSource, layers: [String] = []) {
    self.source = source
    self.layers = layers
  }

  package var json: JSON {
    ["source": .string(source.rawValue), "layers": .array(layers.map { .string($0) })]
  }
}

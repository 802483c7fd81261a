internal import MartletPrimitives
package import MartletRooms

/// How a participant looks at what it is subscribed to: `{"do": "view", "session", "tracks": [{"participant", "source", "width"?, "height"?,
/// "paused"?, "pinned"?}], "lastN"?}`. What it does not name is shown in full.
package struct RoomView: Sendable {
  package struct Wish: Sendable, Equatable {
    /// In lines, as it is shown; `nil` for any size.
    package let height: Int?
    package let area: Int
    package let isPaused: Bool
    /// It comes also where `lastN` leaves others out.
    package let isPinned: Bool
  }

  package let session: String
  package let wishes: [RoomOffer.Subscription: Wish]
  /// Cameras at once; `nil` for as many as the room has.
  package let lastN: Int?

  /// Pixels either way; no screen has more.
  private static let largest = 16_384

  package init(_ fields: CommandFields) throws(RoomError) {
    session = try fields.word("session")
    lastN = try fields.number("lastN")
    var wishes: [RoomOffer.Subscription: Wish] = [:]
    for entry in try fields.entries("tracks", limit: RoomOffer.maximumSections) {
      let subscription = RoomOffer.Subscription(participant: try entry.participant("participant"), source: try RoomOffer.source(entry))
      let (width, height) = (try entry.number("width"), try entry.number("height").map { min($0, Self.largest) })
      wishes[subscription] = Wish(
        height: height, area: min(width ?? 1, Self.largest) * (height ?? 1),
        isPaused: entry.json["paused"] == .bool(true) || width == 0 || height == 0, isPinned: entry.json["pinned"] == .bool(true))
    }
    self.wishes = wishes
  }
}

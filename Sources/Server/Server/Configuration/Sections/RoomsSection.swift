internal import MartletPrimitives
internal import MartletRooms

/// Rooms: how many, how large, and how their participants are connected.
internal enum RoomsSection {
  static let section = SettingSection(
    "rooms", "Rooms: signaling of calls, and who takes part in them.",
    [
      SettingKey("maximum", \.rooms.maximum, .int(1...10_000_000), "Rooms at once."),
      SettingKey("capacity", \.rooms.capacity, .int(1...100_000), "Participants of a room."),
      SettingKey(
        "per_address", \.rooms.perAddress, .int(0...1_000_000, zero: "no limit"),
        "Participants from one address, in all rooms; loopback is exempt."),
      SettingKey(
        "grace", \.rooms.grace, .duration(.seconds(1)...TimeSpan.seconds(3600)),
        "A participant that nobody hears of for this long, on no transport, has left."),
      SettingKey(
        "topology", \.rooms.topology, .choice,
        "How participants are connected: mesh (each to each), supernode (to one who passes everything on), sfu (to this server), or auto."),
      SettingKey("mesh_limit", \.rooms.meshLimit, .int(1...64), "The largest mesh that auto makes."),
      SettingKey(
        "last_n", \.rooms.lastN, .int(0...1000, zero: "all"),
        "Cameras that each participant is sent through the server: those of who spoke last. Screens and what it has pinned come beside them."
      ),
      SettingKey("lobby", \.rooms.hasLobby, .bool, "Who comes waits until a moderator admits them."),
    ])
}

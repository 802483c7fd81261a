internal import MartletPrimitives
internal import MartletRooms

/// Rooms: how many, how large, and how their participants are connected.
internal enum RoomsSection {
  static let section = SettingSection(
    "rooms", "Rooms: signaling of calls, and who takes part in them.",
    [
      SettingKey("maximum", \.rooms.maximum, .int(1...10_000_000), "Rooms at once."),
      SettingKey("capacity", \.rooms.defaults.capacity, capacity, "Participants of a room."),
      SettingKey(
        "per_address", \.rooms.perAddress, .int(0...1_000_000, zero: "no limit"),
        "Participants from one address, in all rooms; loopback is exempt."),
      SettingKey(
        "grace", \.rooms.grace, .duration(.seconds(1)...TimeSpan.seconds(3600)),
        "A participant that nobody hears of for this long, on no transport, has left."),
      SettingKey(
        "topology", \.rooms.defaults.topology, .choice,
        "How participants are connected: mesh (each to each), supernode (to one who passes everything on), sfu (to this server), or auto."),
      SettingKey("mesh_limit", \.rooms.meshLimit, .int(1...64), "The largest mesh that auto makes."),
      SettingKey(
        "last_n", \.rooms.lastN, .int(0...1000, zero: "all"),
        "Cameras that each participant is sent through the server: those of who spoke last. Screens and what it has pinned come beside them."
      ),
      SettingKey(
        "publish", \.rooms.defaults.publish, .choice,
        "Who sends pictures and sound: everyone, moderators, or nobody but a moderator's encoder. Moderators may do admin on rooms/NAME."),
      SettingKey("lobby", \.rooms.defaults.hasLobby, .bool, "Who comes waits until a moderator admits them."),
      SettingKey(
        "record", \.rooms.defaults.isRecorded, .bool,
        "What participants publish through the server is recorded below record.path, also where record.streams does not name it."),
      SettingKey(
        "rules", \.rooms.rules, .list(of: rule),
        "Rooms that are different: the first rule whose pattern matches a room's name. What it leaves out is as above.",
        example: "[{on: webinar-*, capacity: 500, publish: moderators}, {on: board, lobby: true}]", structured: true),
    ])

  private static let capacity = SettingType<Int>.int(RoomOptions.capacities)
  private static let topology = SettingType<RoomTopology.Mode>.choice
  private static let publish = SettingType<RoomOptions.Publishers>.choice

  private static let rule = SettingType<RoomConfiguration.Rule>("{on, capacity, topology, publish, lobby, record}") {
    node throws(SettingProblem) in
    try SettingFields.read(node, "a rule", ["on", "capacity", "topology", "publish", "lobby", "record"]) { fields throws(SettingProblem) in
      var change = RoomOptions.Change(topology: try fields.optional("topology", topology))
      change.capacity = try fields.optional("capacity", capacity)
      change.publish = try fields.optional("publish", publish)
      change.hasLobby = try fields.optional("lobby", .bool)
      change.isRecorded = try fields.optional("record", .bool)
      return RoomConfiguration.Rule(on: try fields.required("on", AccessTypes.pattern), change)
    }
  } write: { rule in
    let parts = [
      "on: \(AccessTypes.pattern.write(rule.on))", rule.change.capacity.map { "capacity: \($0)" },
      rule.change.topology.map { "topology: \($0.rawValue)" }, rule.change.publish.map { "publish: \($0.rawValue)" },
      rule.change.hasLobby.map { "lobby: \($0)" }, rule.change.isRecorded.map { "record: \($0)" },
    ]
    return "{\(parts.compactMap(\.self).joined(separator: ", "))}"
  }
}

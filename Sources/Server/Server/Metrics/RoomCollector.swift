internal import MartletPrimitives
internal import MartletRooms

/// The rooms whose home is one worker.
internal enum RoomCollector {
  static func collect(_ hub: RoomHub) -> [Metric] {
    let rooms = hub.localRooms
    let topologies = Dictionary(rooms.map { (Metric.label("topology", $0.topology.name), 1.0) }, uniquingKeysWith: +)
    return [
      Metric("martlet_rooms", .gauge, "Rooms, by how their participants are connected.", topologies),
      Metric("martlet_room_participants", .gauge, "Participants of all rooms.", rooms.reduce(0) { $0 + $1.participants.count }),
      Metric("martlet_room_joins_total", .counter, "Participants that came into a room, or its lobby.", hub.joins),
      Metric("martlet_room_refusals_total", .counter, "Commands of rooms that were refused.", hub.refusals),
    ]
  }
}

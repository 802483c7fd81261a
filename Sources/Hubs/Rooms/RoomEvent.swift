package import MartletPrimitives

/// What participants hear of their room: `{"event": NAME, …}`.
package struct RoomEvent: Equatable, Sendable {
  package let name: String
  package let json: JSON

  private init(_ name: String, _ fields: KeyValuePairs<String, JSON?> = [:]) {
    self.name = name
    var object = JSON.Object()
    object["event"] = .string(name)
    for (key, value) in fields { if let value { object[key] = value } }
    json = .object(object)
  }

  // MARK: To all

  static func joined(_ participant: Participant) -> RoomEvent { RoomEvent("joined", ["participant": participant.json]) }
  static func changed(_ participant: Participant) -> RoomEvent { RoomEvent("changed", ["participant": participant.json]) }

  static func left(_ id: ParticipantID, _ reason: DepartureReason) -> RoomEvent {
    RoomEvent("left", ["participant": .string(id.text), "reason": .string(reason.rawValue)])
  }

  static func tracks(_ participant: Participant) -> RoomEvent {
    RoomEvent("tracks", ["participant": .string(participant.id.text), "tracks": .array(participant.tracks.map(\.json))])
  }

  static func topology(_ topology: RoomTopology, _ mode: RoomTopology.Mode, generation: Int) -> RoomEvent {
    RoomEvent(
      "topology",
      [
        "topology": .string(topology.name), "mode": .string(mode.rawValue), "supernode": topology.supernode.map { .string($0.text) },
        "generation": .int(Int64(generation)),
      ])
  }

  static func locked(_ isLocked: Bool) -> RoomEvent { RoomEvent(isLocked ? "locked" : "unlocked") }

  static func speaking(_ ids: [ParticipantID]) -> RoomEvent {
    RoomEvent("speaking", ["participants": .array(ids.map { .string($0.text) })])
  }

  static func options(_ options: RoomOptions) -> RoomEvent { RoomEvent("options", ["options": options.json]) }

  // MARK: To one

  static func may(_ may: [RoomPermission]) -> RoomEvent { RoomEvent("may", ["may": .array(may.map { .string($0.rawValue) })]) }

  /// What a peer sends another, as it came.
  static func relayed(_ signal: RoomCommand.Signal, from id: ParticipantID) -> RoomEvent {
    RoomEvent(signal.kind.rawValue, ["from": .string(id.text), signal.kind.member: signal.content])
  }

  static func mute(_ sources: Set<TrackSource>) -> RoomEvent {
    RoomEvent("mute", ["muted": .array(sources.map(\.rawValue).sorted().map { .string($0) })])
  }

  static func wanted(_ wishes: [TrackWish], session: String) -> RoomEvent {
    RoomEvent("wanted", ["session": .string(session), "tracks": .array(wishes.map(\.json))])
  }

  static func kicked(_ reason: String?) -> RoomEvent { RoomEvent("kicked", ["reason": reason.map { .string($0) }]) }
  static func moved(to room: RoomName) -> RoomEvent { RoomEvent("moved", ["room": .string(room.text)]) }
  static let admitted = RoomEvent("admitted")
  static let refused = RoomEvent("refused")
  static let expired = RoomEvent("expired")
  static func waiting(_ participant: Participant) -> RoomEvent { RoomEvent("waiting", ["participant": participant.json]) }
}

/// Why somebody is not there any more.
package enum DepartureReason: String, Sendable { case left, timeout, kicked, moved, expired }

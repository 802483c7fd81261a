package import MartletPrimitives

/// How a room is: by the configuration, and as an administrator changes it.
package struct RoomOptions: Equatable, Sendable {
  /// Who sends pictures and sound.
  package enum Publishers: String, Sendable, CaseIterable { case everyone, moderators, nobody }

  /// Participants.
  package var capacity = 1000
  /// How they are to be connected.
  package var topology = RoomTopology.Mode.auto
  package var publish = Publishers.everyone
  /// Who comes waits until a moderator admits them.
  package var hasLobby = false
  /// What is published through the server is recorded, beside what `record.streams` names.
  package var isRecorded = false
  package init() {}

  package static let capacities = 1...100_000

  /// Some of them.
  package struct Change: Equatable, Sendable {
    package var capacity: Int?
    package var topology: RoomTopology.Mode?
    package var publish: Publishers?
    package var hasLobby: Bool?
    package var isRecorded: Bool?

    package init(topology: RoomTopology.Mode? = nil) { self.topology = topology }
  }

  package func applying(_ change: Change) -> RoomOptions {
    var options = self
    options.capacity = change.capacity ?? capacity
    options.topology = change.topology ?? topology
    options.publish = change.publish ?? publish
    options.hasLobby = change.hasLobby ?? hasLobby
    options.isRecorded = change.isRecorded ?? isRecorded
    return options
  }
}

// As REST and events have them.
extension RoomOptions {
  package var json: JSON {
    [
      "capacity": .int(Int64(capacity)), "topology": .string(topology.rawValue), "publish": .string(publish.rawValue),
      "lobby": .bool(hasLobby), "record": .bool(isRecorded),
    ]
  }
}

extension RoomOptions.Change {
  package init(_ json: JSON) throws(RoomError) {
    guard case .object(let object) = json else { throw .badCommand("the options are an object") }
    for member in object.members {
      switch member.name {
      case "capacity": capacity = try Self.capacity(member.value)
      case "topology": topology = try Self.word(member)
      case "publish": publish = try Self.word(member)
      case "lobby": hasLobby = try Self.flag(member)
      case "record": isRecorded = try Self.flag(member)
      default:
        throw .badCommand("options are capacity, topology, publish, lobby and record, not \"\(member.name.prefix(40))\"")
      }
    }
  }

  private static func capacity(_ json: JSON) throws(RoomError) -> Int {
    let range = RoomOptions.capacities
    guard let value = json.intValue.map(Int.init(clamping:)), range.contains(value) else {
      throw .badCommand("\"capacity\" is a whole number, \(range.lowerBound) to \(range.upperBound)")
    }
    return value
  }

  private static func word<Word: RawRepresentable & CaseIterable>(_ member: JSON.Object.Member) throws(RoomError) -> Word
  where Word.RawValue == String {
    guard let word = member.value.stringValue.flatMap(Word.init(rawValue:)) else {
      throw .badCommand("\"\(member.name)\" is one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return word
  }

  private static func flag(_ member: JSON.Object.Member) throws(RoomError) -> Bool {
    guard let flag = member.value.boolValue else { throw .badCommand("\"\(member.name)\" is true or false") }
    return flag
  }
}

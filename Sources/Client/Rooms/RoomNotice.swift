internal import MartletPrimitives

/// Somebody, as the server describes it.
internal struct RoomMember: Equatable, Sendable {
  internal var id: String
  internal var name = ""
  internal var info: JSON?
  internal var muted: Set<Room.Source> = []
  /// What it publishes through the server.
  internal var tracks: [Room.Source] = []

  internal init(id: String) { self.id = id }

  internal init?(_ json: JSON?) {
    guard let id = json?["id"]?.stringValue else { return nil }
    self.id = id
    name = json?["name"]?.stringValue ?? ""
    info = json?["info"]
    muted = Set(Self.sources(json?["muted"]))
    tracks = Self.tracks(json?["tracks"])
  }

  /// Those that are not known here are left out.
  internal static func sources(_ json: JSON?) -> [Room.Source] {
    (json?.arrayValue ?? []).compactMap { $0.stringValue.flatMap { Room.Source(rawValue: $0) } }
  }

  internal static func tracks(_ json: JSON?) -> [Room.Source] {
    (json?.arrayValue ?? []).compactMap { $0["source"]?.stringValue.flatMap { Room.Source(rawValue: $0) } }
  }
}

/// The topology that a room has, and which one it is by count.
internal struct RoomArrangement: Equatable, Sendable {
  internal var topology = Room.Topology.mesh
  internal var generation: Int64 = 0

  internal init(_ topology: Room.Topology, generation: Int64) { (self.topology, self.generation) = (topology, generation) }

  /// One that is not known is a mesh: connections to each cannot be wrong, only dear.
  internal init(_ json: JSON?) {
    generation = json?["generation"]?.intValue ?? 0
    switch json?["topology"]?.stringValue {
    case "sfu": topology = .sfu
    case "supernode": topology = (json?["supernode"]?.stringValue).map { .supernode($0) } ?? .mesh
    default: topology = .mesh
    }
  }
}

/// The answer to `join` and `resume`: the room at the moment from which on events are heard.
internal struct RoomGreeting: Sendable {
  internal let participant: String
  internal let arrangement: RoomArrangement
  internal let isLocked: Bool
  internal let members: [RoomMember]

  internal init?(_ json: JSON) {
    guard let participant = json["participant"]?.stringValue, let room = json["room"] else { return nil }
    self.participant = participant
    arrangement = RoomArrangement(room)
    isLocked = room["locked"]?.boolValue ?? false
    members = (json["participants"]?.arrayValue ?? []).compactMap { RoomMember($0) }.filter { $0.id != participant }
  }
}

/// What two connections tell each other.
internal enum RoomSignal: Equatable, Sendable {
  case offer(String)
  case answer(String)
  /// `nil` at the end.
  case candidate(PeerCandidate?)
  /// The other one, who came earlier, needs sections for what it sends.
  case renegotiate(audio: Int, video: Int)

  /// RTCIceCandidate.toJSON.
  internal struct PeerCandidate: Equatable, Sendable {
    internal var text: String
    internal var mid: String?
    internal var line: Int?
  }
}

/// An event of the server.
internal enum RoomNotice: Sendable {
  case joined(RoomMember)
  case left(String, reason: String)
  case changed(RoomMember)
  case tracks(String, [Room.Source])
  case topology(RoomArrangement)
  case locked(Bool)
  case speaking([String])
  case message(Room.Message)
  case signal(RoomSignal, from: String)
  /// What a participant says beside that: `{"data": …}`, `{"handover": …}` and the like.
  case said(JSON, from: String)
  case mute(Set<Room.Source>)
  case waiting(RoomMember)
  case moved(String)
  /// Our part in the room is over.
  case ended(Room.Failure)

  /// - Returns: `nil` for one that is not known, or not complete.
  internal init?(_ json: JSON) {
    guard let event = json["event"]?.stringValue else { return nil }
    let from = json["from"]?.stringValue
    switch event {
    case "offer", "answer", "candidate", "signal":
      guard let from, let notice = Self.peer(event, json, from) else { return nil }
      self = notice
    case "joined", "changed", "waiting":
      guard let member = RoomMember(json["participant"]) else { return nil }
      self = event == "joined" ? .joined(member) : event == "changed" ? .changed(member) : .waiting(member)
    case "left", "tracks":
      guard let id = json["participant"]?.stringValue else { return nil }
      self = event == "left" ? .left(id, reason: json["reason"]?.stringValue ?? "left") : .tracks(id, RoomMember.tracks(json["tracks"]))
    case "topology": self = .topology(RoomArrangement(json))
    case "locked", "unlocked": self = .locked(event == "locked")
    case "speaking": self = .speaking((json["participants"]?.arrayValue ?? []).compactMap(\.stringValue))
    case "message": self = .message(Self.message(json, from))
    case "moved": self = .moved(json["room"]?.stringValue ?? "")
    case "mute": self = .mute(Set(RoomMember.sources(json["muted"])))
    default:
      guard let failure = Self.end(event, json) else { return nil }
      self = .ended(failure)
    }
  }

  private static func peer(_ event: String, _ json: JSON, _ from: String) -> RoomNotice? {
    switch event {
    case "offer": return json["sdp"]?.stringValue.map { .signal(.offer($0), from: from) }
    case "answer": return json["sdp"]?.stringValue.map { .signal(.answer($0), from: from) }
    case "candidate": return .signal(.candidate(candidate(json["candidate"])), from: from)
    default: return json["data"].map { RoomNotice($0, saidBy: from) }
    }
  }

  /// What came with `signal`, or over the data channel.
  internal init(_ said: JSON, saidBy from: String) {
    if let sections = said["renegotiate"] {
      let count = { (kind: String) in Int(clamping: sections[kind]?.intValue ?? 0) }
      self = .signal(.renegotiate(audio: count("audio"), video: count("video")), from: from)
    } else {
      self = .said(said, from: from)
    }
  }

  private static func candidate(_ json: JSON?) -> RoomSignal.PeerCandidate? {
    guard let text = json?["candidate"]?.stringValue, !text.isEmpty else { return nil }
    let line = json?["sdpMLineIndex"]?.intValue.map { Int(clamping: $0) }
    return RoomSignal.PeerCandidate(text: text, mid: json?["sdpMid"]?.stringValue, line: line)
  }

  private static func message(_ json: JSON, _ from: String?) -> Room.Message {
    // What was published from outside may be an object of its own, whose members stand here then.
    let content = json["data"].map { Room.Content($0) } ?? .json("\(json)")
    return Room.Message(from: from, name: json["name"]?.stringValue ?? "", content: content, time: json["time"]?.intValue ?? 0)
  }

  private static func end(_ event: String, _ json: JSON) -> Room.Failure? {
    let reason = json["reason"]?.stringValue.map { ": \($0)" } ?? ""
    switch event {
    case "kicked": return Room.Failure(.kicked, "a moderator has ended our part in the room\(reason)")
    case "expired": return Room.Failure(.expired, "the permission to be here has expired")
    default: return nil
    }
  }
}

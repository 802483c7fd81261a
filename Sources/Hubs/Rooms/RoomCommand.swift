package import MartletPrimitives

/// What a participant asks of its room: `{"do": …}`; docs/rooms.md has the list.
package enum RoomCommand: Sendable {
  /// What two peers tell each other.
  package struct Signal: Sendable {
    package enum Kind: String, Sendable {
      case offer, answer, candidate, signal

      /// Which member of a command and of its event has the content.
      var member: String {
        switch self {
        case .offer, .answer: "sdp"
        case .candidate: "candidate"
        case .signal: "data"
        }
      }
    }

    package let kind: Kind
    package let to: ParticipantID
    package let content: JSON
  }

  /// What of itself a participant changes.
  package struct Change: Sendable {
    package var name: String?
    package var info: JSON?
    package var muted: Set<TrackSource>?
  }

  /// How a participant reaches the others; what it does not say is as before.
  package struct Report: Sendable {
    /// Bits a second that it can send.
    package var uplink: Int?
    /// It would send more than that if it could.
    package var isLimited = true
    package var unreachable: Set<ParticipantID>?
  }

  /// What only moderators may do.
  package enum Moderation: Sendable {
    case kick(ParticipantID, reason: String?)
    case mute(ParticipantID, Set<TrackSource>)
    case lock(Bool)
    case admit(ParticipantID, Bool)
    case move(ParticipantID, to: RoomName)
    case topology(RoomTopology.Mode, supernode: ParticipantID?)
  }

  case signal(Signal)
  case set(Change)
  /// - Parameter once: said again with the same, it is in the chat once.
  case say(JSON, once: String?)
  case report(Report)
  case leave
  case moderation(Moderation)

  package init(_ json: JSON) throws(RoomError) {
    let fields = CommandFields(json)
    switch try fields.word("do") {
    case "offer": self = .signal(try Self.signal(fields, .offer))
    case "answer": self = .signal(try Self.signal(fields, .answer))
    case "candidate": self = .signal(try Self.signal(fields, .candidate))
    case "signal": self = .signal(try Self.signal(fields, .signal))
    case "set": self = .set(try Self.change(fields))
    case "say": self = .say(try fields.required("data"), once: try fields.text("once", limit: RoomLimits.name))
    case "report": self = .report(try Self.report(fields))
    case "leave": self = .leave
    case let other: self = .moderation(try Self.moderation(other, fields))
    }
  }

  private static func signal(_ fields: CommandFields, _ kind: Signal.Kind) throws(RoomError) -> Signal {
    let content = kind == .candidate ? fields.json["candidate"] ?? .null : try fields.required(kind.member)
    if kind == .offer || kind == .answer { guard case .string = content else { throw .badCommand("\"sdp\" is text") } }
    return Signal(kind: kind, to: try fields.participant("to"), content: content)
  }

  private static func change(_ fields: CommandFields) throws(RoomError) -> Change {
    var change = Change(name: try fields.name(), info: try fields.info())
    if fields.json["muted"] != nil { change.muted = try fields.sources("muted") }
    return change
  }

  private static func report(_ fields: CommandFields) throws(RoomError) -> Report {
    var report = Report(uplink: try fields.number("uplink"), isLimited: fields.json["limited"] != .bool(false))
    if fields.json["unreachable"] != nil { report.unreachable = try fields.participants("unreachable") }
    return report
  }

  private static func moderation(_ word: String, _ fields: CommandFields) throws(RoomError) -> Moderation {
    switch word {
    case "kick": return .kick(try fields.participant("participant"), reason: try fields.text("reason", limit: RoomLimits.name))
    case "mute": return .mute(try fields.participant("participant"), try fields.sources("muted"))
    case "lock", "unlock": return .lock(word == "lock")
    case "admit", "refuse": return .admit(try fields.participant("participant"), word == "admit")
    case "move":
      let (id, text) = (try fields.participant("participant"), try fields.word("room"))
      do throws(ParseError) { return .move(id, to: try RoomName(text)) } catch { throw .badCommand("\"room\": \(error)") }
    case "topology":
      let word = try fields.word("topology")
      guard let mode = RoomTopology.Mode(rawValue: word) else {
        throw .badCommand("\"topology\" is one of \(RoomTopology.Mode.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      let named = try fields.text("supernode", limit: RoomLimits.name)
      return .topology(mode, supernode: named.map { ParticipantID($0) })
    default: throw .badCommand("\"do\" is one of \(Self.words.joined(separator: ", ")), not \"\(word.prefix(40))\"")
    }
  }

  private static let words = [
    "join", "resume", "offer", "answer", "candidate", "signal", "view", "set", "say", "report", "ice", "refresh", "leave", "kick", "mute",
    "lock", "unlock", "admit", "refuse", "move", "topology",
  ]
}

/// The members of a command, checked.
package struct CommandFields {
  package let json: JSON

  package init(_ json: JSON) { self.json = json }

  package func required(_ name: String) throws(RoomError) -> JSON {
    guard let value = json[name], value != .null else { throw .badCommand("\"\(name)\" is missing") }
    return value
  }

  package func word(_ name: String) throws(RoomError) -> String {
    guard case .string(let text) = try required(name) else { throw .badCommand("\"\(name)\" is text") }
    return text
  }

  package func text(_ name: String, limit: Int) throws(RoomError) -> String? {
    switch json[name] {
    case nil, .null?: return nil
    case .string(let text)?:
      guard text.utf8.count <= limit else { throw .limit("bytes of \"\(name)\"", maximum: limit) }
      return text
    default: throw .badCommand("\"\(name)\" is text")
    }
  }

  package func number(_ name: String) throws(RoomError) -> Int? {
    switch json[name] {
    case nil, .null?: return nil
    case .int(let value)? where value >= 0: return Int(clamping: value)
    default: throw .badCommand("\"\(name)\" is a whole number from 0")
    }
  }

  package func participant(_ name: String) throws(RoomError) -> ParticipantID { ParticipantID(try word(name)) }

  func participants(_ name: String) throws(RoomError) -> Set<ParticipantID> {
    Set(try texts(name, limit: RoomLimits.unreachable).map { ParticipantID($0) })
  }

  package func sources(_ name: String) throws(RoomError) -> Set<TrackSource> {
    var sources: Set<TrackSource> = []
    for text in try texts(name, limit: RoomLimits.tracks) {
      guard let source = TrackSource(rawValue: text) else {
        throw .badCommand("\"\(name)\" is of \(TrackSource.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      sources.insert(source)
    }
    return sources
  }

  /// A list of objects.
  package func entries(_ name: String, limit: Int) throws(RoomError) -> [CommandFields] {
    guard let value = json[name], value != .null else { return [] }
    guard case .array(let entries) = value else { throw .badCommand("\"\(name)\" is a list") }
    guard entries.count <= limit else { throw .limit("entries of \"\(name)\"", maximum: limit) }
    return entries.map { CommandFields($0) }
  }

  private func texts(_ name: String, limit: Int) throws(RoomError) -> [String] {
    guard let value = json[name], value != .null else { return [] }
    guard case .array(let items) = value else { throw .badCommand("\"\(name)\" is a list") }
    guard items.count <= limit else { throw .limit("entries of \"\(name)\"", maximum: limit) }
    var texts: [String] = []
    for item in items {
      guard case .string(let text) = item else { throw .badCommand("\"\(name)\" is a list of texts") }
      texts.append(text)
    }
    return texts
  }

  package func name() throws(RoomError) -> String? {
    guard let text = try text("name", limit: RoomLimits.name) else { return nil }
    guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
      throw .badCommand("a control character in \"name\"")
    }
    return text
  }

  /// Those that a participant can do; all unless it says so.
  package func topologies() throws(RoomError) -> Set<RoomTopology.Mode> {
    let texts = try texts("topologies", limit: RoomTopology.Mode.allCases.count)
    return texts.isEmpty ? Set(RoomTopology.Mode.allCases) : Set(texts.compactMap { RoomTopology.Mode(rawValue: $0) })
  }

  package func info() throws(RoomError) -> JSON? {
    guard let info = json["info"], info != .null else { return nil }
    guard info.serialized.count <= RoomLimits.info else { throw .limit("bytes of \"info\"", maximum: RoomLimits.info) }
    return info
  }
}

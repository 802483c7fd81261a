package import MartletPrimitives

/// How a SkyRTC client speaks. There are two servers of that name, which call the same events differently, and pages that were written
/// for either: all are answered as they began.
///
///     {"eventName": "__join", "data": {"room"}}   →  "_peers" {"connections", "you"}, "_new_peer", "_remove_peer", "_offer", …
///     {"event": "join", "data": {"room"}}         →  "peers" {"socketIds", "you"}, "new_peer", "remove_peer", "offer", …
package struct SkyRTCDialect: Equatable {
  /// `eventName` or `event`.
  internal let key: String
  /// What names of events begin with that the server sends.
  internal let prefix: String

  /// The room of who names none.
  internal static let defaultRoom = "__default"

  /// What a client said: the event without underscores, and its data.
  package static func parse(_ json: JSON) -> (name: String, data: JSON, dialect: SkyRTCDialect)? {
    for key in ["eventName", "event"] {
      guard case .string(let text)? = json[key] else { continue }
      let name = String(text.drop { $0 == "_" })
      // Pages with the key `event` compare names with those that they send.
      let prefix = text.hasPrefix("__") ? (key == "event" ? "__" : "_") : ""
      return (name, json["data"] ?? .null, SkyRTCDialect(key: key, prefix: prefix))
    }
    return nil
  }

  internal func event(_ name: String, _ data: JSON) -> JSON { [key: .string(prefix + name), "data": data] }

  /// Who is there already, for the one who comes.
  package func peers(_ ids: [JSON], you: JSON) -> JSON {
    event("peers", [prefix.isEmpty ? "socketIds" : "connections": .array(ids), "you": you])
  }

  // MARK: Between SkyRTC and the room

  /// A command of rooms for what a client sends to another; `nil` for one that names nobody.
  package static func command(_ name: String, _ data: JSON, to: String) -> JSON {
    switch name {
    case "offer", "answer": return ["do": .string(name), "to": .string(to), "sdp": text(of: data["sdp"])]
    case "ice_candidate": return ["do": "candidate", "to": .string(to), "candidate": candidate(data)]
    default: return ["do": "signal", "to": .string(to), "data": ["skyrtc": .string(name), "data": data]]
    }
  }

  /// Pages send the whole description, or its text.
  private static func text(of sdp: JSON?) -> JSON { sdp?["sdp"] ?? sdp ?? .null }

  private static func candidate(_ data: JSON) -> JSON {
    guard case .string(let text)? = data["candidate"] else { return data["candidate"] ?? .null }
    var object = JSON.Object()
    object["candidate"] = .string(text)
    if let mid = data["id"] ?? data["sdpMid"] { object["sdpMid"] = mid }
    if let line = data["label"] ?? data["sdpMLineIndex"] { object["sdpMLineIndex"] = line }
    return .object(object)
  }

  /// What a client hears of an event of its room; `nil` for what SkyRTC has no word for.
  package func translate(_ event: JSON) -> JSON? {
    guard case .string(let name)? = event["event"] else { return nil }
    let from = event["from"] ?? .null
    switch name {
    case "joined": return self.event("new_peer", ["socketId": event["participant"]?["id"] ?? .null])
    case "left": return self.event("remove_peer", ["socketId": event["participant"] ?? .null])
    case "offer", "answer":
      return self.event(name, ["sdp": ["type": .string(name), "sdp": event["sdp"] ?? .null], "socketId": from])
    case "candidate":
      guard let candidate = event["candidate"], candidate != .null else { return nil }
      return self.event("ice_candidate", self.candidate(candidate, from: from))
    case "signal":
      guard case .string(let name)? = event["data"]?["skyrtc"] else { return nil }
      guard case .object(var object)? = event["data"]?["data"] else { return self.event(name, ["socketId": from]) }
      object["socketId"] = from
      return self.event(name, .object(object))
    default: return nil
    }
  }

  private func candidate(_ candidate: JSON, from: JSON) -> JSON {
    // Pages with the key `event` hand it to RTCIceCandidate as it is.
    if key == "event" { return ["candidate": candidate, "socketId": from] }
    return [
      "label": candidate["sdpMLineIndex"] ?? 0, "id": candidate["sdpMid"] ?? .null, "candidate": candidate["candidate"] ?? .null,
      "socketId": from,
    ]
  }
}

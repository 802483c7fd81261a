/// A STUN or TURN server that a WHIP or WHEP server names (RFC 9725 §4.6).
public struct ICEServer: Sendable, Equatable {
  /// `stun:HOST:PORT`, `turn:HOST:PORT?transport=udp`.
  public let url: String
  public let username: String?
  public let credential: String?
}

extension ICEServer {
  /// More than any server has; the field is a stranger's.
  private static let limit = 32

  /// `<turn:…>; rel="ice-server"; username="…"; credential="…"`, several to a field, among links of other kinds (RFC 8288 §3).
  internal static func all(in fields: [String]) -> [ICEServer] {
    var servers: [ICEServer] = []
    for field in fields {
      var reader = LinkReader(field)
      while servers.count < limit, let link = reader.next() {
        guard link.parameters["rel"] == "ice-server" else { continue }
        servers.append(ICEServer(url: link.target, username: link.parameters["username"], credential: link.parameters["credential"]))
      }
    }
    return servers
  }
}

/// The links of a `Link` field, one after the other; ends at what is none.
private struct LinkReader {
  private var rest: Substring

  init(_ field: String) { rest = field[...] }

  mutating func next() -> (target: String, parameters: [String: String])? {
    skip { $0 == " " || $0 == "\t" || $0 == "," }
    guard rest.popFirst() == "<", let end = rest.firstIndex(of: ">") else { return nil }
    let target = String(rest[..<end])
    rest = rest[end...].dropFirst()
    var parameters: [String: String] = [:]
    while let (name, value) = nextParameter(), parameters.count < 16 { if parameters[name] == nil { parameters[name] = value } }
    return (target, parameters)
  }

  private mutating func nextParameter() -> (String, String)? {
    skip { $0 == " " || $0 == "\t" }
    guard rest.first == ";" else { return nil }
    skip { $0 == ";" || $0 == " " || $0 == "\t" }
    let name = take { $0 != "=" && $0 != ";" && $0 != "," }.lowercased()
    guard rest.first == "=" else { return (name, "") }
    rest.removeFirst()
    guard rest.first == "\"" else { return (name, take { $0 != ";" && $0 != "," && $0 != " " }) }
    rest.removeFirst()
    var value = ""
    while let character = rest.popFirst(), character != "\"" {
      guard let taken = character == "\\" ? rest.popFirst() : character else { break }
      value.append(taken)
    }
    return (name, value)
  }

  private mutating func skip(while isSkipped: (Character) -> Bool) { rest = rest.drop(while: isSkipped) }

  private mutating func take(while isTaken: (Character) -> Bool) -> String {
    let taken = rest.prefix(while: isTaken)
    rest = rest[taken.endIndex...]
    return String(taken)
  }
}

internal import MartletHTTP
package import MartletMessages
package import MartletPrimitives

/// What a publisher brought, as a draft: the checks that every transport makes.
package enum MessageContent {
  internal static let maximumType = 128
  internal static let maximumEvent = 128
  internal static let maximumKey = 128

  /// The content of an HTTP request. JSON is checked, `text/*` and nothing at all are text when they are UTF-8, everything
  /// else is binary.
  internal static func draft(_ bytes: [UInt8], contentType: String?, event: String?, key: String?) throws(ParseError) -> Draft {
    try check(event: event, key: key, contentType: contentType)
    let type = contentType.map { MediaTypeName.essence(of: $0) } ?? ""
    var draft = Draft(.binary, Slice(bytes), contentType: type, event: event ?? "", key: key)
    // What curl and forms send without being asked names no type that anybody meant.
    if type == "application/x-www-form-urlencoded" { draft.contentType = "" }
    if type == "application/json" {
      _ = try JSON(parsing: bytes, limits: jsonLimits(bytes.count))
      draft.kind = .text
    } else if type.hasPrefix("text/") || draft.contentType.isEmpty {
      if String(validating: bytes, as: UTF8.self) != nil {
        draft.kind = .text
        if type == "text/plain" { draft.contentType = "" }
      } else if type.hasPrefix("text/") {
        throw .invalid("text that is not UTF-8", at: 0)
      }
    }
    return draft
  }

  /// A member of a JSON command: `data` (a string is text, anything else is JSON) or `b64`.
  package static func draft(of command: JSON) throws(ParseError) -> Draft {
    let (type, event, key) = (try text(command, "type"), try text(command, "event"), try text(command, "key"))
    try check(event: event, key: key, contentType: type)
    var draft: Draft
    switch (command["data"], command["b64"]) {
    case (.string(let text)?, nil): draft = Draft(.text, Slice(Array(text.utf8)), contentType: type ?? "")
    case (let value?, nil): draft = Draft(.text, Slice(value.serialized), contentType: "application/json")
    case (nil, .string(let text)?):
      guard let bytes = Base64.decode(text) else { throw .invalid("b64 is not base64", at: 0) }
      draft = Draft(.binary, Slice(bytes), contentType: type ?? "")
    default: throw .invalid("a message has either \"data\" or \"b64\"", at: 0)
    }
    // A string with the type JSON would be taken for its own text.
    if draft.kind == .text, type == "application/json", let value = command["data"] { draft.payload = Slice(value.serialized) }
    draft.event = event ?? ""
    draft.key = key
    return draft
  }

  internal static func text(_ command: JSON, _ name: String) throws(ParseError) -> String? {
    switch command[name] {
    case nil, .null?: return nil
    case .string(let text)?: return text
    default: throw .invalid("\"\(name)\" is text", at: 0)
    }
  }

  /// A message is also a line of an event stream and a field of a header: names hold no line breaks.
  private static func check(event: String?, key: String?, contentType: String?) throws(ParseError) {
    for (what, text, limit) in [
      ("an event's name", event, maximumEvent), ("a key", key, maximumKey), ("a content type", contentType, maximumType),
    ] {
      guard let text else { continue }
      guard text.utf8.count <= limit else { throw .limit("\(what) in bytes", maximum: limit) }
      guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
        throw .invalid("a control character in \(what)", at: 0)
      }
    }
  }

  private static func jsonLimits(_ count: Int) -> JSONLimits {
    var limits = JSONLimits()
    limits.bytes = max(limits.bytes, count)
    return limits
  }
}

internal enum MediaTypeName {
  /// `text/html` of `Text/HTML; charset=utf-8`.
  internal static func essence(of value: String) -> String {
    String(value.prefix { $0 != ";" }.filter { $0 != " " }).lowercased()
  }
}

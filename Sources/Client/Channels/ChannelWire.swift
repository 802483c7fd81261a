internal import MartletPrimitives

/// The JSON of `/ws` (docs/channels.md): commands as bytes, and what the server says as values.
internal enum ChannelWire {
  internal enum Frame: Sendable, Equatable {
    case text([UInt8])
    case binary([UInt8])

    internal var count: Int {
      switch self {
      case .text(let bytes), .binary(let bytes): bytes.count
      }
    }
  }

  // MARK: Commands

  internal static func command(_ name: String, _ id: Int64, _ body: (inout JSONWriter) -> Void = { _ in }) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.member("do", name)
      json.member("id", Int(id))
      body(&json)
    }
    return json.bytes
  }

  internal static func publish(_ id: Int64, _ message: ChannelMachine.Publication) -> Frame {
    let head = { (json: inout JSONWriter) in
      json.member("channel", message.channel)
      if !message.event.isEmpty { json.member("event", message.event) }
      json.member("key", message.key)
    }
    switch message.content {
    case .text(let text):
      return .text(
        command("publish", id) { json in
          head(&json)
          if !message.type.isEmpty { json.member("type", message.type) }
          json.member("data", text)
        })
    case .json(let text):
      return .text(
        command("publish", id) { json in
          head(&json)
          json.member("type", "application/json")
          json.member("data", verbatim: Slice(Array(text.utf8)))
        })
    case .binary(let payload):
      let json = command("publish", id) { json in
        head(&json)
        if !message.type.isEmpty { json.member("type", message.type) }
      }
      var writer = ByteWriter()
      writer.u16(UInt16(clamping: json.count))
      return .binary(writer.bytes + json + payload)
    }
  }

  // MARK: What the server says

  internal enum Word {
    case answer(id: Int64?, Result<JSON, Refusal>)
    case message(ChannelMessage)
    case presence(channel: String, joined: Bool, ChannelMember)
  }

  internal struct Refusal: Error {
    var code: Int
    var message: String
    /// The subscription that ended with it.
    var channel: String?
  }

  /// - Throws: for what is no JSON, or none that the protocol knows.
  internal static func words(text bytes: RawSpan, limit: Int) throws(ParseError) -> [Word] {
    var limits = JSONLimits()
    (limits.bytes, limits.depth) = (limit, 64)
    switch try JSON(parsing: bytes, limits: limits) {
    case .array(let all):
      var words: [Word] = []
      for json in all { words.append(try word(json, payload: nil)) }
      return words
    case let json: return [try word(json, payload: nil)]
    }
  }

  internal static func word(binary bytes: RawSpan) throws(ParseError) -> Word {
    var reader = ByteReader(bytes)
    let count = Int(try reader.u16())
    let json = try JSON(parsing: Array(copying: try reader.bytes(count)))
    return try word(json, payload: Array(copying: reader.rest()))
  }

  private static func word(_ json: JSON, payload: [UInt8]?) throws(ParseError) -> Word {
    if let channel = json["channel"]?.stringValue, let change = json["presence"]?.stringValue, let member = json["member"] {
      return .presence(channel: channel, joined: change == "join", try Self.member(member))
    }
    if let error = json["error"] {
      let code = error["code"]?.intValue.flatMap { Int(exactly: $0) } ?? 100
      let refusal = Refusal(
        code: code, message: error["message"]?.stringValue ?? "error \(code)", channel: json["channel"]?.stringValue)
      return .answer(id: json["id"]?.intValue, .failure(refusal))
    }
    if json["ok"] != nil { return .answer(id: json["id"]?.intValue, .success(json)) }
    return .message(try message(json, payload: payload))
  }

  internal static func message(_ json: JSON, payload: [UInt8]?) throws(ParseError) -> ChannelMessage {
    guard let channel = json["channel"]?.stringValue, let cursor = json["cursor"]?.stringValue else {
      throw .invalid("neither an answer nor a message", at: 0)
    }
    let type = json["type"]?.stringValue ?? ""
    let content: ChannelContent
    if let payload {
      content = .binary(payload)
    } else if let text = json["b64"]?.stringValue {
      guard let bytes = Base64.decode(text) else { throw .invalid("b64 is not base64", at: 0) }
      content = .binary(bytes)
    } else if type == "application/json" {
      content = .json(String(decoding: (json["data"] ?? .null).serialized, as: UTF8.self))
    } else {
      guard let text = json["data"]?.stringValue else { throw .invalid("a message without data", at: 0) }
      content = .text(text)
    }
    return ChannelMessage(
      channel: channel, cursor: cursor, time: json["time"]?.intValue ?? 0, content: content, type: type,
      event: json["event"]?.stringValue ?? "", user: json["user"]?.stringValue)
  }

  internal static func member(_ json: JSON) throws(ParseError) -> ChannelMember {
    guard let client = json["client"]?.stringValue else { throw .invalid("a member without client", at: 0) }
    return ChannelMember(
      client: client, user: json["user"]?.stringValue, info: json["info"].map { String(decoding: $0.serialized, as: UTF8.self) },
      transport: json["transport"]?.stringValue ?? "", since: json["since"]?.intValue ?? 0)
  }

  internal static func history(_ json: JSON) throws(ParseError) -> ChannelHistory {
    var messages: [ChannelMessage] = []
    for element in json["messages"]?.arrayValue ?? [] { messages.append(try message(element, payload: nil)) }
    return ChannelHistory(
      cursor: json["cursor"]?.stringValue ?? "", isLost: json["lost"]?.boolValue ?? false, messages: messages)
  }

  internal static func members(_ json: JSON) throws(ParseError) -> [ChannelMember] {
    var members: [ChannelMember] = []
    for element in json["members"]?.arrayValue ?? [] { members.append(try member(element)) }
    return members
  }
}

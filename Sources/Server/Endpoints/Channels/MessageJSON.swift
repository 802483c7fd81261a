internal import MartletMessages
internal import MartletPrimitives

/// A message as JSON, the same on every transport that speaks it:
/// `{"channel": …, "cursor": "EPOCH:OFFSET", "time": MS, "type"?, "event"?, "user"?, "data"|"b64": …}`.
///
/// `data` is the value itself when the message's type is `application/json`, and a string for other text; binary is base64 in
/// `b64`.
internal enum MessageJSON {
  internal static func write(_ message: Message, in channel: ChannelName, _ cursor: Cursor, to json: inout JSONWriter) {
    json.object { json in
      head(message, in: channel, cursor, to: &json)
      if message.draft.kind == .binary {
        json.member("b64", Base64.encode(message.payload.array))
      } else if message.draft.isJSON {
        json.member("data", verbatim: message.payload)
      } else {
        json.member("data", String(repairing: message.payload.bytes))
      }
    }
  }

  /// Everything but the payload.
  internal static func head(_ message: Message, in channel: ChannelName, _ cursor: Cursor, to json: inout JSONWriter) {
    json.member("channel", channel.text)
    json.member("cursor", cursor.description)
    json.member("time", Int(message.time.milliseconds))
    let draft = message.draft
    if !draft.contentType.isEmpty { json.member("type", draft.contentType) }
    if !draft.event.isEmpty { json.member("event", draft.event) }
    if let user = draft.user { json.member("user", user) }
  }

  internal static func write(_ member: Member, to json: inout JSONWriter) {
    json.object { json in
      json.member("client", member.id)
      json.member("transport", member.transport)
      json.member("since", Int(member.since.milliseconds))
      if let user = member.user { json.member("user", user) }
      if !member.info.isEmpty { json.member("info", verbatim: member.info) }
    }
  }

  /// `{"channel": …, "presence": "join"|"leave", "member": {…}}`
  internal static func presence(_ event: PresenceEvent) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.member("channel", event.channel.text)
      json.member("presence", event.joined ? "join" : "leave")
      json.member("member") { write(event.member, to: &$0) }
    }
    return json.bytes
  }
}

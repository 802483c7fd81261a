internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives

/// Messages as Server-Sent Events (HTML Living Standard §9.2): `id` is the cursor, `event` the message's event, and every
/// line of the message a `data` line. Binary is base64 with the event `binary` unless it has another.
internal enum EventStreamFormat {
  /// For a connection with one channel, where the cursor alone is the id.
  internal static func plain() -> MessageFormat {
    MessageFormat(name: "sse") { _, cursor, message in Slice(event(id: cursor.description, message)) }
  }

  /// The same, compressed: each event is a run of deflate blocks that needs nothing before it, so it is made once for all.
  internal static func compressed(_ pool: DeflatePool) -> MessageFormat {
    MessageFormat(name: "sse-gzip") { _, cursor, message in gzipped(event(id: cursor.description, message), pool) }
  }

  /// - Parameter channel: with several channels the data is the message as JSON (`MessageJSON`), which also says which event
  ///   it is: names are then left to the server's own events.
  internal static func event(id: String, channel: ChannelName? = nil, cursor: Cursor? = nil, _ message: Message) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(message.payload.count + 96)
    let draft = message.draft
    if !draft.event.isEmpty, channel == nil {
      line("event", draft.event.utf8, to: &bytes)
    } else if draft.kind == .binary, channel == nil {
      line("event", "binary".utf8, to: &bytes)
    }
    line("id", id.utf8, to: &bytes)
    if let channel, let cursor {
      var json = JSONWriter()
      MessageJSON.write(message, in: channel, cursor, to: &json)
      line("data", json.bytes, to: &bytes)
    } else if draft.kind == .binary {
      line("data", Base64.encode(message.payload.array).utf8, to: &bytes)
    } else {
      dataLines(message.payload, to: &bytes)
    }
    bytes.append(0x0A)
    return bytes
  }

  /// An event of the server's own.
  internal static func event(_ name: String, id: String?, data: String) -> [UInt8] {
    var bytes: [UInt8] = []
    line("event", name.utf8, to: &bytes)
    if let id { line("id", id.utf8, to: &bytes) }
    line("data", data.utf8, to: &bytes)
    bytes.append(0x0A)
    return bytes
  }

  /// Has no id: the client's position stays as it is.
  internal static func presence(_ event: PresenceEvent) -> [UInt8] {
    self.event("presence", id: nil, data: String(decoding: MessageJSON.presence(event), as: UTF8.self))
  }

  /// Sets the client's last event id without an event, so that it resumes even if it saw none.
  internal static func position(_ id: String) -> [UInt8] { Array("id: \(id)\n\n".utf8) }

  internal static func retry(_ span: TimeSpan) -> [UInt8] { Array("retry: \(span.milliseconds)\n\n".utf8) }

  /// A comment: proxies and clients see that the connection lives.
  internal static let heartbeat = Array(":\n\n".utf8)

  private static func line(_ field: String, _ value: some Sequence<UInt8>, to bytes: inout [UInt8]) {
    bytes.append(contentsOf: field.utf8)
    bytes.append(contentsOf: [UInt8(ascii: ":"), UInt8(ascii: " ")])
    bytes.append(contentsOf: value)
    bytes.append(0x0A)
  }

  /// CR, LF and CRLF all end a line for the client.
  private static func dataLines(_ text: Slice, to bytes: inout [UInt8]) {
    text.withUnsafeBytes { text in
      var rest = text[...]
      while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
        line("data", rest[..<end], to: &bytes)
        let isPair = rest[end] == 0x0D && end + 1 < rest.endIndex && rest[end + 1] == 0x0A
        rest = rest[(end + (isPair ? 2 : 1))...]
      }
      line("data", rest, to: &bytes)
    }
  }

  // MARK: gzip

  /// The header of a gzip stream that never ends (RFC 1952 §2.3).
  internal static let gzipHeader: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]

  /// Ends on a byte and refers to nothing before it: the empty block behind it is what permessage-deflate leaves out.
  internal static func gzipped(_ bytes: [UInt8], _ pool: DeflatePool) -> Slice {
    Slice(pool.compress(bytes.span.bytes, level: 4, windowBits: 15) + [0, 0, 0xFF, 0xFF])
  }
}

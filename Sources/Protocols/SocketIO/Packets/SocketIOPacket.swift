package import MartletPrimitives

/// One Socket.IO packet (protocol 5). Binary arguments stand apart as attachments; where they belong, `data` holds a
/// placeholder. Whether a packet is a "binary" one follows from its attachments.
package struct SocketIOPacket: Equatable, Sendable {
  package enum Kind: Sendable { case connect, disconnect, event, ack, connectError }

  package var kind: Kind
  /// Begins with a slash; `/` is the main one.
  package var namespace: String
  /// Of an event: an acknowledgement is asked for. Of an acknowledgement: what it answers.
  package var id: UInt64?
  package var data: JSON?
  package var attachments: [Slice]

  package init(_ kind: Kind, namespace: String = "/", id: UInt64? = nil, data: JSON? = nil, attachments: [Slice] = []) {
    self.kind = kind
    self.namespace = namespace
    self.id = id
    self.data = data
    self.attachments = attachments
  }

  /// Stands in `data` for an attachment.
  package static func placeholder(_ index: Int) -> JSON { ["_placeholder": true, "num": .int(Int64(index))] }

  /// The attachment that an argument stands for, if it does.
  package static func attachmentIndex(of value: JSON) -> Int? {
    guard case .object(let object) = value, object["_placeholder"] == .bool(true), let number = object["num"]?.intValue else { return nil }
    return Int(exactly: number)
  }

  /// As it leaves: made once, sent to any number of sessions over any transport.
  package var encoded: [EngineMessage] {
    var json = JSONWriter()
    if let data { json.value(data) }
    let body = json.bytes
    var writer = ByteWriter(capacity: body.count + 32)
    writer.u8(digit)
    if !attachments.isEmpty { writer.string("\(attachments.count)-") }
    if namespace != "/" { writer.string("\(namespace),") }
    if let id { writer.string("\(id)") }
    writer.append(body)
    return [EngineMessage(.message, writer.bytes.span.bytes)] + attachments.map { EngineMessage(binary: $0.bytes) }
  }

  private var digit: UInt8 {
    switch kind {
    case .connect: UInt8(ascii: "0")
    case .disconnect: UInt8(ascii: "1")
    case .event: UInt8(ascii: attachments.isEmpty ? "2" : "5")
    case .ack: UInt8(ascii: attachments.isEmpty ? "3" : "6")
    case .connectError: UInt8(ascii: "4")
    }
  }
}

/// What a session may send at once.
package struct SocketIOLimits: Sendable {
  package var json = JSONLimits()
  /// Attachments of one packet, and their bytes together.
  package var attachments = 10
  package var attachmentBytes = 4 << 20
  package var namespaceBytes = 256
  /// Namespaces of one session.
  package var namespaces = 32
  /// Acknowledgements that the server waits for at once, over all namespaces of a session.
  package var acknowledgements = 1024

  package init() { json.depth = 32 }
}

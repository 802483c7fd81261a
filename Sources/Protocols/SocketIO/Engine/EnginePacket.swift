package import MartletPrimitives

/// One Engine.IO packet as it came (protocol 4, "Packet encoding"): a kind and data, text or binary.
package struct EnginePacket: Equatable, Sendable {
  package enum Kind: UInt8, Sendable {
    case open = 0x30, close, ping, pong, message, upgrade, noop
  }

  package var kind: Kind
  package var data: Slice
  /// Only a message can be binary.
  package var isBinary: Bool

  package init(_ kind: Kind, _ data: Slice = Slice(), isBinary: Bool = false) {
    self.kind = kind
    self.data = data
    self.isBinary = isBinary
  }

  /// A WebSocket's text message: the kind's digit and the data. The text is UTF-8 already.
  package init(text: Slice) throws(ParseError) {
    guard let first = text.bytes.byte(at: 0) else { throw .truncated(at: 0, needed: 1) }
    guard let kind = Kind(rawValue: first) else { throw .invalid("an unknown kind of Engine.IO packet", at: 0) }
    self.init(kind, text.dropFirst(1))
  }
}

/// What an HTTP body carries: packets with a record separator between them.
package enum EnginePayload {
  package static let separator: UInt8 = 0x1E

  /// - Throws: also when the body is no UTF-8: it would go on to others as text.
  package static func decode(_ body: Slice, limits: EngineLimits) throws(ParseError) -> [EnginePacket] {
    guard body.count <= limits.payloadBytes else { throw .limit("bytes of an Engine.IO payload", maximum: limits.payloadBytes) }
    guard String(validating: body.bytes) != nil else { throw .invalid("a payload that is not UTF-8", at: 0) }
    var packets: [EnginePacket] = []
    var start = 0
    while true {
      guard packets.count < limits.payloadPackets else {
        throw .limit("packets of an Engine.IO payload", maximum: limits.payloadPackets)
      }
      let end = position(of: separator, in: body, from: start)
      packets.append(try packet(body.sub(start..<end), at: start))
      guard end < body.count else { return packets }
      start = end + 1
    }
  }

  /// Binary data stands behind a `b`, in base64.
  private static func packet(_ text: Slice, at offset: Int) throws(ParseError) -> EnginePacket {
    guard text.bytes.byte(at: 0) == UInt8(ascii: "b") else {
      do throws(ParseError) { return try EnginePacket(text: text) } catch {
        throw .invalid("no Engine.IO packet", at: offset)
      }
    }
    guard let bytes = Base64.decode(String(repairing: text.bytes.extracting(1..<text.count))) else {
      throw .invalid("binary data that is not base64", at: offset)
    }
    return EnginePacket(.message, Slice(bytes), isBinary: true)
  }

  private static func position(of byte: UInt8, in body: Slice, from start: Int) -> Int {
    body.withUnsafeBytes { bytes in bytes[start...].firstIndex(of: byte) ?? bytes.count }
  }
}

package import MartletPrimitives

/// Puts Socket.IO packets together from Engine.IO messages: one text, then as many binary ones as it announces.
package struct SocketIODecoder: Sendable {
  private struct Unfinished: Sendable {
    var packet: SocketIOPacket
    var missing: Int
    var bytes = 0
  }

  private let limits: SocketIOLimits
  private var unfinished: Unfinished?

  package init(limits: SocketIOLimits = SocketIOLimits()) { self.limits = limits }

  /// - Returns: a packet when it is complete.
  /// - Throws: the connection is to be closed: nothing that follows can be understood.
  package mutating func receive(_ message: Slice, isBinary: Bool) throws(ParseError) -> SocketIOPacket? {
    if isBinary { return try receiveAttachment(message) }
    guard unfinished == nil else { throw .invalid("text where an attachment was expected", at: 0) }
    let (packet, missing) = try Self.parse(message, limits)
    guard missing > 0 else { return packet }
    unfinished = Unfinished(packet: packet, missing: missing)
    return nil
  }

  private mutating func receiveAttachment(_ bytes: Slice) throws(ParseError) -> SocketIOPacket? {
    guard var current = unfinished.take() else { throw .invalid("an attachment that no packet announced", at: 0) }
    current.bytes += bytes.count
    guard current.bytes <= limits.attachmentBytes else { throw .limit("bytes of attachments", maximum: limits.attachmentBytes) }
    current.packet.attachments.append(bytes)
    current.missing -= 1
    if current.missing == 0 { return current.packet }
    unfinished = current
    return nil
  }

  // MARK: The text

  /// `<type>[<attachments>-][<namespace>,][<id>][<JSON>]`; answers how many attachments follow.
  private static func parse(_ text: Slice, _ limits: SocketIOLimits) throws(ParseError) -> (SocketIOPacket, attachments: Int) {
    var reader = ByteReader(text.bytes)
    let digit = try reader.u8()
    guard let kind = kind(of: digit) else { throw .invalid("an unknown kind of Socket.IO packet", at: 0) }
    var attachments = 0
    let isBinary = digit >= UInt8(ascii: "5")
    if isBinary {
      guard let count = try number(&reader), reader.peek() == UInt8(ascii: "-") else {
        throw .invalid("a binary packet without its number of attachments", at: 1)
      }
      guard count <= UInt64(limits.attachments) else { throw .limit("attachments of a packet", maximum: limits.attachments) }
      attachments = Int(count)
      try reader.skip(1)
    }
    var packet = SocketIOPacket(kind, namespace: try namespace(&reader, limits))
    packet.id = try number(&reader)
    let offset = reader.offset
    let rest = reader.rest()
    if !rest.isEmpty { packet.data = try JSON(parsing: rest, limits: limits.json) }
    try check(packet, at: offset)
    if isBinary, let data = packet.data { try checkPlaceholders(data, below: attachments, at: offset) }
    return (packet, attachments)
  }

  private static func kind(of digit: UInt8) -> SocketIOPacket.Kind? {
    switch digit {
    case UInt8(ascii: "0"): .connect
    case UInt8(ascii: "1"): .disconnect
    case UInt8(ascii: "2"), UInt8(ascii: "5"): .event
    case UInt8(ascii: "3"), UInt8(ascii: "6"): .ack
    case UInt8(ascii: "4"): .connectError
    default: nil
    }
  }

  @_lifetime(reader: copy reader)
  private static func namespace(_ reader: inout ByteReader, _ limits: SocketIOLimits) throws(ParseError) -> String {
    guard reader.peek() == UInt8(ascii: "/") else { return "/" }
    let start = reader.offset
    var count = 0
    while let byte = reader.peek(count), byte != UInt8(ascii: ",") {
      count += 1
      guard count <= limits.namespaceBytes else { throw .limit("bytes of a namespace", maximum: limits.namespaceBytes) }
      guard byte >= 0x20, byte != 0x7F else { throw .invalid("a control character in a namespace", at: start) }
    }
    let name = try reader.string(count)
    // The comma is left out when nothing follows.
    if reader.peek() != nil { try reader.skip(1) }
    // A client may add a query to a namespace; it names no other one.
    return String(name.prefix { $0 != "?" })
  }

  /// Up to 2^53 − 1, which is what a JavaScript number counts exactly.
  @_lifetime(reader: copy reader)
  private static func number(_ reader: inout ByteReader) throws(ParseError) -> UInt64? {
    var value: UInt64?
    while let byte = reader.peek(), byte >= 0x30, byte <= 0x39 {
      let next = (value ?? 0) * 10 + UInt64(byte - 0x30)
      guard next < 1 << 53 else { throw .invalid("a number that is too large", at: reader.offset) }
      value = next
      try reader.skip(1)
    }
    return value
  }

  /// What each kind of packet carries.
  private static func check(_ packet: SocketIOPacket, at offset: Int) throws(ParseError) {
    switch (packet.kind, packet.data) {
    case (.connect, nil), (.connect, .object), (.disconnect, nil), (.connectError, .object), (.connectError, .string): return
    case (.event, .array(let arguments)):
      guard let name = arguments.first, isEventName(name) else { throw .invalid("an event without a name of its own", at: offset) }
    case (.ack, .array):
      guard packet.id != nil else { throw .invalid("an acknowledgement without its number", at: offset) }
    default: throw .invalid("data that does not belong to this kind of packet", at: offset)
    }
  }

  /// Names that clients give a meaning of their own to cannot be sent.
  private static func isEventName(_ value: JSON) -> Bool {
    switch value {
    case .string(let name): !reserved.contains(name)
    case .int, .double: true
    case .null, .bool, .array, .object: false
    }
  }

  private static let reserved: Set<String> = [
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
  ]

  /// The depth of recursion is that of the JSON limit.
  private static func checkPlaceholders(_ value: JSON, below count: Int, at offset: Int) throws(ParseError) {
    switch value {
    case .array(let elements): for element in elements { try checkPlaceholders(element, below: count, at: offset) }
    case .object(let object):
      if object["_placeholder"] == .bool(true) {
        guard let index = SocketIOPacket.attachmentIndex(of: value), (0..<count).contains(index) else {
          throw .invalid("a placeholder for an attachment that does not come", at: offset)
        }
        return
      }
      for member in object.members { try checkPlaceholders(member.value, below: count, at: offset) }
    case .null, .bool, .int, .double, .string: return
    }
  }
}

internal import MartletHTTP
package import MartletPrimitives

/// One packet as it leaves, serialised once however many sessions it goes to: a whole WebSocket frame, whose end is also the
/// form that a text packet has in a polling payload.
package struct EngineMessage: Equatable, Sendable {
  /// A server's frame: header and packet.
  package let frame: Slice
  private let headerCount: Int
  package let isBinary: Bool

  /// A packet with text.
  package init(_ kind: EnginePacket.Kind, _ text: RawSpan) {
    var writer = ByteWriter(capacity: text.byteCount + 11)
    writer.append(WebSocketFrame.header(.text, length: text.byteCount + 1))
    headerCount = writer.count
    writer.u8(kind.rawValue)
    writer.append(text)
    frame = writer.slice
    isBinary = false
  }

  package init(_ kind: EnginePacket.Kind, _ text: String = "") {
    let bytes = Array(text.utf8)
    self.init(kind, bytes.span.bytes)
  }

  /// A message of bytes.
  package init(binary bytes: RawSpan) {
    var writer = ByteWriter(capacity: bytes.byteCount + 10)
    writer.append(WebSocketFrame.header(.binary, length: bytes.byteCount))
    headerCount = writer.count
    writer.append(bytes)
    frame = writer.slice
    isBinary = true
  }

  /// Without the frame's header: a text packet with its digit, or the bytes of a binary message.
  package var packet: Slice { frame.dropFirst(headerCount) }

  /// Bytes in a polling payload, the separator included.
  package var payloadCount: Int { (isBinary ? (packet.count + 2) / 3 * 4 + 1 : packet.count) + 1 }

  internal func write(into writer: inout ByteWriter) {
    guard isBinary else { return writer.append(packet) }
    writer.u8(UInt8(ascii: "b"))
    writer.string(Base64.encode(packet.array))
  }

  internal static let ping = EngineMessage(.ping)
  internal static let noop = EngineMessage(.noop)
  internal static let close = EngineMessage(.close)
  internal static let probeAnswer = EngineMessage(.pong, "probe")
}

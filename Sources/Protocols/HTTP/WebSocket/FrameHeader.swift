internal import MartletPrimitives

/// A frame's header (RFC 6455 §5.2), read where it lies, and what can be told from a header alone.
internal struct FrameHeader: Equatable, Sendable {
  /// Bytes of the longest one.
  static let maximumSize = 14

  /// What this end expects of its peer.
  struct Rules: Sendable {
    /// Frames come from a client (§5.1).
    var expectsMask: Bool
    /// An extension that uses RSV1 was negotiated (RFC 7692 §6).
    var allowsRSV1: Bool
  }

  var opcode: WebSocketOpcode
  var fin: Bool
  var compressed: Bool
  /// 0 without a mask.
  var mask: UInt32
  /// Bytes of payload.
  var length: Int
  /// Bytes of the header itself.
  var size: Int

  /// The header at `offset`; `nil` when more bytes are needed.
  ///
  /// - Throws: 1002, as early as the first bytes tell.
  static func read(_ bytes: RawSpan, at offset: Int, _ rules: Rules) throws(WebSocketError) -> FrameHeader? {
    let available = bytes.byteCount - offset
    guard available > 0 else { return nil }
    let first: UInt8 = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    let opcode = try check(first, rules)
    guard available > 1 else { return nil }
    let second: UInt8 = bytes.unsafeLoad(fromByteOffset: offset + 1, as: UInt8.self)
    guard (second & 0x80 != 0) == rules.expectsMask else {
      throw fault(rules.expectsMask ? "a frame from a client is not masked" : "a frame from a server is masked")
    }
    var length = Int(second & 0x7F)
    if opcode.isControl, length > 125 { throw fault("a control frame holds more than 125 bytes") }
    var size = 2
    if length == 126 {
      guard available >= 4 else { return nil }
      length = Int(UInt16(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 2, as: UInt16.self)))
      size = 4
    } else if length == 127 {
      guard available >= 10 else { return nil }
      let wide = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 2, as: UInt64.self))
      guard wide <= UInt64(Int.max) else { throw fault("a frame's length has its top bit set") }
      length = Int(wide)
      size = 10
    }
    // The minimal number of bytes must be used to encode the length.
    guard size == 2 || length > (size == 4 ? 125 : 0xFFFF) else { throw fault("a frame's length is not in its shortest form") }
    var mask: UInt32 = 0
    if rules.expectsMask {
      guard available >= size + 4 else { return nil }
      mask = UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + size, as: UInt32.self))
      size += 4
    }
    return FrameHeader(opcode: opcode, fin: first & 0x80 != 0, compressed: first & 0x40 != 0, mask: mask, length: length, size: size)
  }

  private static func check(_ first: UInt8, _ rules: Rules) throws(WebSocketError) -> WebSocketOpcode {
    guard first & 0x30 == 0, first & 0x40 == 0 || rules.allowsRSV1 else { throw fault("a reserved bit is set without an extension") }
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw fault("opcode \(first & 0x0F) is reserved") }
    if opcode.isControl, first & 0x80 == 0 { throw fault("a control frame is fragmented") }
    if first & 0x40 != 0, opcode.isControl || opcode == .continuation {
      throw fault("RSV1 is set on a frame that does not begin a message")
    }
    return opcode
  }

  private static func fault(_ reason: String) -> WebSocketError { WebSocketError(.protocolError, reason) }
}

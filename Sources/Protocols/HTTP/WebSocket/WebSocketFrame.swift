internal import MartletPrimitives

/// The frame format of RFC 6455 §5.2.
package enum WebSocketOpcode: UInt8, Sendable {
  case continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10
  package var isControl: Bool { rawValue >= 8 }
}

package enum WebSocketFrame {
  /// The header of an unmasked frame, as servers send it: the same bytes for every receiver, so header and payload are
  /// one wire image. 2, 4 or 10 bytes.
  ///
  /// - Parameter compressed: sets RSV1 (RFC 7692 §6), which only means something once negotiated.
  package static func header(_ opcode: WebSocketOpcode, length: Int, fin: Bool = true, compressed: Bool = false) -> [UInt8] {
    var writer = ByteWriter(capacity: 10)
    write(opcode, length, fin, compressed, maskBit: 0, into: &writer)
    return writer.bytes
  }

  /// A whole frame in one buffer, masked when a key is given (§5.3: clients must).
  package static func encode(
    _ opcode: WebSocketOpcode, _ payload: RawSpan, fin: Bool = true, compressed: Bool = false, mask: UInt32? = nil
  ) -> [UInt8] {
    var writer = ByteWriter(capacity: payload.byteCount + 14)
    write(opcode, payload.byteCount, fin, compressed, maskBit: mask == nil ? 0 : 0x80, into: &writer)
    if let mask { writer.u32(mask) }
    let start = writer.count
    writer.append(payload)
    if let mask { WebSocketMask.apply(mask, to: &writer.bytes, from: start, phase: 0) }
    return writer.bytes
  }

  /// Appends a whole frame; masked unless `mask` is 0.
  internal static func append(
    _ opcode: WebSocketOpcode, _ payload: RawSpan, fin: Bool = true, compressed: Bool = false, mask: UInt32, to output: inout [UInt8]
  ) {
    var writer = ByteWriter(appendingTo: exchange(&output, with: []))
    write(opcode, payload.byteCount, fin, compressed, maskBit: mask == 0 ? 0 : 0x80, into: &writer)
    if mask != 0 { writer.u32(mask) }
    let start = writer.count
    writer.append(payload)
    WebSocketMask.apply(mask, to: &writer.bytes, from: start, phase: 0)
    output = writer.bytes
  }

  private static func write(
    _ opcode: WebSocketOpcode, _ length: Int, _ fin: Bool, _ compressed: Bool, maskBit: UInt8, into writer: inout ByteWriter
  ) {
    writer.u8((fin ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode.rawValue)
    if length < 126 {
      writer.u8(maskBit | UInt8(length))
    } else if length <= 0xFFFF {
      writer.u8(maskBit | 126)
      writer.u16(UInt16(length))
    } else {
      writer.u8(maskBit | 127)
      writer.u64(UInt64(length))
    }
  }
}

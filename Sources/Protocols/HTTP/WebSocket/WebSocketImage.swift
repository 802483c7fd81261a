package import MartletPrimitives

/// One message as servers send it, framed once for any number of receivers: header and payload in one run of bytes, and the
/// same compressed, for those connections that agreed on it (`WebSocketMachine.takesCompressedImages`).
package struct WebSocketImage: Sendable {
  package let plain: Slice
  /// `nil` when compression was not asked for or would not make it smaller.
  package let compressed: Slice?

  /// - Parameter compressor: compresses once, here, if the settings want it for such a message.
  package init(
    _ kind: WebSocketMachine.MessageKind, _ payload: Slice, compressor: DeflatePool? = nil, settings: DeflateSettings = DeflateSettings()
  ) {
    let opcode = kind.opcode
    plain = Slice(WebSocketFrame.encode(opcode, payload.bytes))
    guard let compressor, settings.isEnabled, payload.count >= max(1, Int(settings.minimumBytes)),
      kind == .text || settings.compressesBinary
    else {
      compressed = nil
      return
    }
    let packed = compressor.compress(payload.bytes, level: Int(settings.level), windowBits: 15)
    compressed = packed.count < payload.count ? Slice(WebSocketFrame.encode(opcode, packed.span.bytes, compressed: true)) : nil
  }

  /// A message that was framed already.
  package init(plain: Slice) {
    self.plain = plain
    compressed = nil
  }

  /// What to send on a connection that takes compressed images or does not.
  package func bytes(compressed isTaken: Bool) -> Slice { isTaken ? compressed ?? plain : plain }
}

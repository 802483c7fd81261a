package import MartletPrimitives

/// Cuts a byte stream from a TURN server (TCP or TLS) into STUN and ChannelData messages (RFC 8656 §2.1, §12.5): the two
/// first bits tell which of the two it is, and each says its length.
package struct TURNStreamReader: Sendable {
  private var held: [UInt8] = []
  private let limits: STUNLimits

  package init(limits: STUNLimits = STUNLimits()) { self.limits = limits }

  /// Bytes of a message that is not complete: never more than one message.
  package var heldBytes: Int { held.count }

  /// Appends each message that is complete, ChannelData without its padding. After an error the stream cannot be read on.
  package mutating func receive(_ bytes: RawSpan, into messages: inout [Slice]) throws(STUNError) {
    held.append(bytes)
    let whole = Slice(exchange(&held, with: []))
    var offset = 0
    while let (message, padded) = try Self.frame(whole.bytes.extracting(offset..<whole.count), limits), whole.count - offset >= padded {
      messages.append(whole.sub(offset..<offset + message))
      offset += padded
    }
    held = offset == 0 ? whole.array : whole.dropFirst(offset).array
  }

  /// How long the first message is, and where the next one begins; `nil` while its header is not complete.
  package static func frame(
    _ bytes: RawSpan, _ limits: STUNLimits, channels: ClosedRange<UInt16> = ChannelData.channels
  ) throws(STUNError) -> (message: Int, padded: Int)? {
    guard let first = bytes.byte(at: 0) else { return nil }
    guard first < 4 || channels.contains(UInt16(first) << 8) else { throw .foreignProtocol(firstByte: first) }
    var reader = ByteReader(bytes)
    guard (try? reader.u16()) != nil, let field = try? reader.u16() else { return nil }
    let length = first < 4 ? STUN.headerBytes + Int(field) : ChannelData.headerBytes + Int(field)
    guard length <= limits.messageBytes else { throw .limit("bytes of a message", value: length, maximum: limits.messageBytes) }
    guard first < 4 else { return (length, STUN.padded(length)) }
    guard field % 4 == 0 else { throw .wrongLength(announced: Int(field), actual: Int(field) & ~3) }
    return (length, length)
  }
}

internal import MartletPrimitives

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1, RFC 3611 §2).
enum RTCPType {
  static let senderReport: UInt8 = 200
  static let receiverReport: UInt8 = 201
  static let sourceDescription: UInt8 = 202
  static let goodbye: UInt8 = 203
  static let application: UInt8 = 204
  static let transportFeedback: UInt8 = 205
  static let payloadFeedback: UInt8 = 206
  static let extendedReport: UInt8 = 207
}

/// The first word of every RTCP packet (RFC 3550 §6.4.1).
struct RTCPHeader {
  let hasPadding: Bool
  /// 5 bits: a count, a subtype or a feedback format.
  let count: Int
  let type: UInt8
  /// The length of what follows.
  let bodyBytes: Int

  @_lifetime(reader: copy reader)
  init(parsing reader: inout ByteReader) throws(ParseError) {
    let at = reader.offset
    let first = try reader.u8()
    guard first >> 6 == 2 else { throw .invalid("RTCP version \(first >> 6), expected 2", at: at) }
    hasPadding = first & 0x20 != 0
    count = Int(first & 0x1F)
    type = try reader.u8()
    bodyBytes = Int(try reader.u16()) * 4
  }

  /// RFC 3550 §6.4.1: the last byte counts the padding, itself included.
  @_lifetime(copy body)
  func withoutPadding(_ body: RawSpan, at start: Int) throws(ParseError) -> RawSpan {
    let padding = Int(body.byte(at: body.byteCount - 1) ?? 0)
    guard padding > 0, padding <= body.byteCount else { throw .invalid("an RTCP padding of \(padding) bytes", at: start) }
    return body.extracting(droppingLast: padding)
  }
}

extension ByteWriter {
  /// Begins an RTCP packet; answers where, for `finishControlPacket`.
  mutating func startControlPacket() -> Int {
    u32(0)
    return count - 4
  }

  /// Fills up to a whole word and writes the first one.
  mutating func finishControlPacket(from start: Int, type: UInt8, count number: Int) {
    zeros((4 - (count - start) % 4) % 4)
    let words = UInt32(UInt16(clamping: (count - start) / 4 - 1))
    patchU32(0x8000_0000 | UInt32(truncatingIfNeeded: number & 0x1F) << 24 | UInt32(type) << 16 | words, at: start)
  }

  /// A feedback packet's beginning (RFC 4585 §6.1).
  mutating func startFeedback(sender: UInt32, media: UInt32) -> Int {
    let start = startControlPacket()
    u32(sender)
    u32(media)
    return start
  }
}

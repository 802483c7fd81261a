internal import MartletPrimitives

/// A clock inside each video frame: the publisher writes it, viewers find it in whatever wraps the frame on the wire.
/// Text only, so that no container has to escape it.
internal struct Stamp {
  internal static let magic = Array("MRTLSTMP".utf8)
  internal static let size = 33

  internal var isKey: Bool
  internal var sent: Instant
  internal var sequence: Int

  internal var bytes: [UInt8] {
    Self.magic + [UInt8(ascii: isKey ? "K" : "P")] + Self.hex(UInt64(bitPattern: sent.nanoseconds), 16) + Self.hex(UInt64(sequence), 8)
  }

  internal init(isKey: Bool, sent: Instant, sequence: Int) {
    self.isKey = isKey
    self.sent = sent
    self.sequence = sequence
  }

  /// Reads the stamp that begins at `offset`; `nil` unless it is whole.
  internal init?(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard offset + Self.size <= bytes.count else { return nil }
    let text = bytes[(offset + 9)..<(offset + Self.size)].map { $0 }
    guard let time = UInt64(String(decoding: text[..<16], as: UTF8.self), radix: 16),
      let sequence = Int(String(decoding: text[16...], as: UTF8.self), radix: 16)
    else { return nil }
    self.init(isKey: bytes[offset + 8] == UInt8(ascii: "K"), sent: Instant(nanoseconds: Int64(bitPattern: time)), sequence: sequence)
  }

  private static func hex(_ value: UInt64, _ digits: Int) -> [UInt8] {
    let text = String(value, radix: 16)
    return Array((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8)
  }
}

internal import MartletPrimitives

/// The four bytes before the data of a channel (RFC 8656 §12.4): number and length. On a stream the data is padded to a
/// multiple of four.
package struct ChannelData: Equatable, Sendable {
  package let channel: UInt16
  /// Where the data lies in the bytes that were read.
  package let data: Range<Int>

  package static let headerBytes = 4
  /// RFC 8656 §12: the numbers a client may bind.
  package static let channels: ClosedRange<UInt16> = 0x4000...0x4FFF
  /// What RFC 5766 §11 left to clients.
  package static let formerChannels: ClosedRange<UInt16> = 0x4000...0x7FFF

  /// `nil` for bytes that are no ChannelData message, such as one that is cut short. Padding behind the data is skipped.
  package init?(_ bytes: RawSpan, in channels: ClosedRange<UInt16> = channels) {
    var reader = ByteReader(bytes)
    guard let channel = try? reader.u16(), channels.contains(channel), let length = try? reader.u16(),
      reader.remaining >= Int(length)
    else { return nil }
    self.channel = channel
    data = Self.headerBytes..<Self.headerBytes + Int(length)
  }

  /// Appends one message; `false`, and nothing appended, when the data is longer than 65,535 bytes.
  package static func write(_ data: RawSpan, channel: UInt16, padded: Bool, into output: inout [UInt8]) -> Bool {
    guard let length = UInt16(exactly: data.byteCount) else { return false }
    for value in [channel, length] {
      output.append(UInt8(truncatingIfNeeded: value >> 8))
      output.append(UInt8(truncatingIfNeeded: value))
    }
    output.append(data)
    if padded { output.append(contentsOf: repeatElement(0, count: STUN.padded(data.byteCount) - data.byteCount)) }
    return true
  }
}

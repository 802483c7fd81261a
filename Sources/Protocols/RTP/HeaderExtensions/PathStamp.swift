internal import MartletPrimitives

/// The one header extension that is another in each packet and that its path is measured by, written without the detour over
/// `ExtensionElements`: all packets of a stream grow by the same few bytes.
package enum PathStamp: Equatable, Sendable {
  /// The number among all packets of the transport.
  case number(UInt16)
  case sendTime(AbsoluteSendTime)

  /// With the extension's own header (RFC 8285 §4.2), padded to words.
  package static let byteCount = 8

  /// - Parameter id: 1 to 14.
  func write(id: UInt8, into writer: inout ByteWriter) {
    writer.u16(0xBEDE)
    writer.u16(1)
    switch self {
    case .number(let number):
      writer.u8(id << 4 | 1)
      writer.u16(number)
      writer.u8(0)
    case .sendTime(let time):
      writer.u8(id << 4 | 2)
      writer.u24(time.value)
    }
  }
}

extension PathStamp {
  /// Zeroes the value in a packet that was written with a stamp: parity is made of packets before they have one.
  package static func clearValue(in packet: inout [UInt8]) {
    let value = RTPHeader.minimumBytes + 5..<RTPHeader.minimumBytes + byteCount
    guard packet.count >= value.upperBound else { return }
    for index in value { packet[index] = 0 }
  }
}

extension HeaderExtensions {
  /// The id under which packets are stamped for a peer that tells of them in this way; 0 when it was not negotiated.
  package func stampID(for mode: CongestionMode) -> UInt8 {
    let kind: HeaderExtensionKind = mode == .transportFeedback ? .transportSequenceNumber : .absoluteSendTime
    // Larger ones need the two-byte form, which nobody who uses these negotiates.
    return id(of: kind).flatMap { $0 <= 14 ? $0 : nil } ?? 0
  }
}

extension CongestionMode {
  /// The better one of what was negotiated for the sections of a transport.
  package init(_ sections: [HeaderExtensions]) {
    self = sections.contains { $0.stampID(for: .transportFeedback) != 0 } ? .transportFeedback : .reports
  }
}

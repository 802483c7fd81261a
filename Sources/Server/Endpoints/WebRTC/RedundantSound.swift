internal import MartletPrimitives
internal import MartletRTP

/// Sound that comes twice (RFC 2198): in front of a frame the one before it, for a viewer that loses packets. It is made of what the
/// ring holds, in one buffer that is used again.
internal struct RedundantSound {
  /// What a path loses, as a share of one, from which on it is worth the bytes.
  internal static let begin = 0.01

  internal private(set) var payload: [UInt8] = []

  private static let headerBytes = 5
  /// As `RTPPacketizer` makes them at most.
  private static let maximumSize = RTPPacketizer.Options().maximumSize

  /// - Parameters:
  ///   - offset: ticks between the two.
  ///   - payloadType: of the frames.
  /// - Returns: false where the former does not fit into the packet or the fields of its header (§3): 10 bits of length, 14 of time.
  internal mutating func encode(_ frame: RawSpan, after former: RawSpan, offset: UInt32, payloadType: UInt8) -> Bool {
    guard 1...0x3FFF ~= offset, 1...0x3FF ~= former.byteCount,
      Self.headerBytes + former.byteCount + frame.byteCount <= Self.maximumSize
    else { return false }
    let head = offset << 10 | UInt32(truncatingIfNeeded: former.byteCount)
    payload.removeAll(keepingCapacity: true)
    payload.append(0x80 | payloadType)
    payload.append(UInt8(truncatingIfNeeded: head >> 16))
    payload.append(UInt8(truncatingIfNeeded: head >> 8))
    payload.append(UInt8(truncatingIfNeeded: head))
    payload.append(payloadType & 0x7F)
    payload.append(former)
    payload.append(frame)
    return true
  }
}

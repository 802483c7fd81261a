internal import MartletPrimitives

/// A clock at the end of each packet of a synthetic stream, where no payload descriptor is in its way.
internal struct PacketStamp {
  internal static let size = 16

  internal var sent: Instant
  /// Counts the packets of a track, whatever numbers a server gives them.
  internal var number: UInt64

  internal func write(into payload: inout ByteWriter) {
    payload.u64(UInt64(bitPattern: sent.nanoseconds))
    payload.u64(number)
  }

  internal init(sent: Instant, number: UInt64) {
    self.sent = sent
    self.number = number
  }

  internal init?(endOf payload: UnsafeRawBufferPointer) {
    guard payload.count >= Self.size else { return nil }
    let at = payload.count - Self.size
    sent = Instant(nanoseconds: Int64(bigEndian: payload.loadUnaligned(fromByteOffset: at, as: Int64.self)))
    number = UInt64(bigEndian: payload.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
  }
}

package import MartletPrimitives

/// A named event (RFC 4733 §2.3): 0 to 9 are the digits, 10 and 11 `*` and `#`, 12 to 15 A to D.
package struct TelephoneEvent: Sendable, Equatable {
  package var event: UInt8
  package var isEnd: Bool
  /// Below 0 dBm0, 0 to 63; of tones only.
  package var volume: UInt8
  /// Ticks so far.
  package var duration: UInt16

  package init(event: UInt8, isEnd: Bool, volume: UInt8, duration: UInt16) {
    (self.event, self.isEnd, self.volume, self.duration) = (event, isEnd, volume, duration)
  }

  package init(_ payload: RawSpan) throws(ParseError) {
    var reader = ByteReader(payload)
    event = try reader.u8()
    let flags = try reader.u8()
    (isEnd, volume) = (flags & 0x80 != 0, flags & 0x3f)
    duration = try reader.u16()
  }

  package func write(to writer: inout ByteWriter) {
    writer.u8(event)
    writer.u8((isEnd ? 0x80 : 0) | volume & 0x3f)
    writer.u16(duration)
  }
}

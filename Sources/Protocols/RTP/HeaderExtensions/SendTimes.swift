package import MartletPrimitives

/// When a packet left, in 24 bits of seconds with 18 behind the point: it wraps every 64 s.
package struct AbsoluteSendTime: Equatable, Sendable {
  package var value: UInt32

  /// Of any clock; only differences mean something.
  package init(_ now: Instant) {
    value = UInt32(truncatingIfNeeded: MediaClock.units(TimeSpan(nanoseconds: now.nanoseconds), 1 << 18)) & 0xFF_FFFF
  }

  package init?(_ value: RawSpan) {
    var reader = ByteReader(value)
    guard let value = try? reader.u24() else { return nil }
    self.value = value
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) { elements.append(id, UInt64(value), count: 3) }
}

/// How much later than its timestamp says a packet left (RFC 5450 §3), in timestamp units: 24 bits, signed.
package struct TransmissionOffset: Equatable, Sendable {
  package var value: Int32

  package init(_ value: Int32) { self.value = max(-0x80_0000, min(0x7F_FFFF, value)) }

  package init?(_ value: RawSpan) {
    var reader = ByteReader(value)
    guard let bits = try? reader.u24() else { return nil }
    self.value = Int32(bitPattern: bits << 8) >> 8
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) {
    elements.append(id, UInt64(UInt32(bitPattern: value) & 0xFF_FFFF), count: 3)
  }
}

/// When the first sample of a frame was captured (abs-capture-time §"RTP header extension format").
package struct AbsoluteCaptureTime: Equatable, Sendable {
  package var captured: NTPTime
  /// What a relay adds: how far the capturing clock is from its own, in 32.32 fixed point seconds.
  package var clockOffset: Int64?

  package init(captured: NTPTime, clockOffset: Int64? = nil) {
    self.captured = captured
    self.clockOffset = clockOffset
  }

  package init?(_ value: RawSpan) {
    var reader = ByteReader(value)
    guard let time = try? reader.u64() else { return nil }
    captured = NTPTime(value: time)
    clockOffset = (try? reader.u64()).map { Int64(bitPattern: $0) }
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) {
    guard let clockOffset else { return elements.append(id, captured.value, count: 8) }
    var writer = ByteWriter(capacity: 16)
    writer.u64(captured.value)
    writer.u64(UInt64(bitPattern: clockOffset))
    elements.append(id, writer.bytes.span.bytes)
  }
}

package import MartletPrimitives

/// How a picture is to be turned before it is shown (3GPP TS 26.114 §7.4.5, byte `0000CFRR`).
package struct VideoOrientation: Equatable, Sendable {
  package var isBackCamera: Bool
  package var isFlipped: Bool
  /// Clockwise quarter turns to be made, 0 to 3.
  package var quarterTurns: UInt8

  package init(isBackCamera: Bool = false, isFlipped: Bool = false, quarterTurns: UInt8) {
    self.isBackCamera = isBackCamera
    self.isFlipped = isFlipped
    self.quarterTurns = quarterTurns & 3
  }

  package init?(_ value: RawSpan) {
    guard let byte = value.byte(at: 0) else { return nil }
    self.init(isBackCamera: byte & 8 != 0, isFlipped: byte & 4 != 0, quarterTurns: byte & 3)
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) {
    elements.append(id, UInt64((isBackCamera ? 8 : 0) | (isFlipped ? 4 : 0) | quarterTurns), count: 1)
  }
}

/// How long a receiver should hold frames: two times 12 bits in units of 10 ms.
package struct PlayoutDelay: Equatable, Sendable {
  package static let unit = TimeSpan.milliseconds(10)

  /// In units; at most 4,095.
  package var minimum: UInt16
  package var maximum: UInt16

  package init(minimum: UInt16, maximum: UInt16) {
    self.minimum = min(0xFFF, minimum)
    self.maximum = min(0xFFF, maximum)
  }

  package init?(_ value: RawSpan) {
    var reader = ByteReader(value)
    guard let bits = try? reader.u24() else { return nil }
    self.init(minimum: UInt16(truncatingIfNeeded: bits >> 12), maximum: UInt16(truncatingIfNeeded: bits & 0xFFF))
  }

  package func append(to elements: inout ExtensionElements, id: UInt8) {
    elements.append(id, UInt64(minimum) << 12 | UInt64(maximum), count: 3)
  }
}

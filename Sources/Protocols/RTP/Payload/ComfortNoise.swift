package import MartletPrimitives

/// Comfort noise (RFC 3389 §3): what silence sounds like.
package struct ComfortNoise: Sendable, Equatable {
  /// Below the overload point, in decibels, 0 to 127.
  package var level: UInt8
  /// Reflection coefficients, one byte each; none is white noise.
  package var spectrum: Slice

  package init(level: UInt8, spectrum: Slice = Slice()) { (self.level, self.spectrum) = (level, spectrum) }

  package init(_ payload: Slice) throws(ParseError) {
    guard let first = payload.bytes.byte(at: 0) else { throw .truncated(at: 0, needed: 1) }
    level = first & 0x7f
    spectrum = payload.dropFirst(1)
  }

  /// RFC 3389 §3.2.
  package var reflection: [Double] { spectrum.array.map { 258 * (Double($0) - 127) / 32_768 } }

  /// RFC 3389 §3: the first bit is zero.
  package var payload: Slice {
    var writer = ByteWriter()
    writer.u8(min(level, 127))
    writer.append(spectrum.bytes)
    return Slice(writer.bytes)
  }
}

package import MartletCodecs
internal import MartletPrimitives

/// How loud a piece of G.711 is.
package enum G711Level {
  /// In decibels below the overload point, 0 to 127 (RFC 3389 §3.1); 127 for nothing.
  package static func level(of sound: RawSpan, _ codec: Codec) -> UInt8 {
    var energy: UInt64 = 0
    for index in 0..<sound.byteCount {
      guard let byte = sound.byte(at: index) else { break }
      let sample = Int64(codec == .g711a ? linear(aLaw: byte) : linear(muLaw: byte))
      energy &+= UInt64(sample.magnitude) &* UInt64(sample.magnitude)
    }
    return SoundLevel.decibels(energy: energy, samples: sound.byteCount, overload: 32_768)
  }

  /// ITU-T G.711, table 2: sign, three bits of exponent and four of mantissa, all inverted.
  static func linear(muLaw byte: UInt8) -> Int32 {
    let bits = ~byte
    let magnitude = (((Int32(bits & 0x0f) << 3) + 0x84) << Int32(bits >> 4 & 7)) - 0x84
    return bits & 0x80 == 0 ? magnitude : -magnitude
  }

  /// ITU-T G.711, table 1: every other bit is inverted.
  static func linear(aLaw byte: UInt8) -> Int32 {
    let bits = byte ^ 0x55
    let exponent = Int32(bits >> 4 & 7)
    let mantissa = (Int32(bits & 0x0f) << 4) + 8
    let magnitude = exponent == 0 ? mantissa : (mantissa + 0x100) << (exponent - 1)
    return bits & 0x80 == 0 ? -magnitude : magnitude
  }
}

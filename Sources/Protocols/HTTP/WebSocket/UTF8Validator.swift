internal import MartletPrimitives

/// Validates UTF-8 (RFC 3629 §4) that arrives in pieces cut anywhere, also inside a character.
package struct UTF8Validator: Sendable {
  /// Continuation bytes still to come.
  private var needed = 0
  /// The range of the next byte: overlong forms, surrogates and values above U+10FFFF show in the second byte.
  private var lower: UInt8 = 0x80
  private var upper: UInt8 = 0xBF

  package init() {}

  /// Whether the text may end here.
  package var isComplete: Bool { needed == 0 }

  /// Answers `false` at the first byte that no valid text can have there.
  package mutating func accept(_ bytes: RawSpan) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var index = 0
      while index < buffer.count {
        if needed == 0, index + 8 <= buffer.count,
          buffer.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
        {
          index += 8
          continue
        }
        guard accept(buffer[index]) else { return false }
        index += 1
      }
      return true
    }
  }

  private mutating func accept(_ byte: UInt8) -> Bool {
    if needed > 0 {
      guard byte >= lower, byte <= upper else { return false }
      needed -= 1
      (lower, upper) = (0x80, 0xBF)
      return true
    }
    switch byte {
    case 0..<0x80: return true
    case 0xC2...0xDF: needed = 1
    case 0xE0: (needed, lower) = (2, 0xA0)
    case 0xED: (needed, upper) = (2, 0x9F)
    case 0xE1...0xEF: needed = 2
    case 0xF0: (needed, lower) = (3, 0x90)
    case 0xF4: (needed, upper) = (3, 0x8F)
    case 0xF1...0xF3: needed = 3
    default: return false
    }
    return true
  }
}

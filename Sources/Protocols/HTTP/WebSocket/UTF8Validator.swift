internal import MartletPrimitives

/// Validates UTF-8 (RFC 3629 §4) that arrives in pieces cut anywhere, also inside a character.
package struct UTF8Validator: Sendable {
  /// Continuation bytes still to come.
  private var needed: UInt8 = 0
  /// The range of the next byte: overlong forms, surrogates and values above U+10FFFF show in the second byte.
  private var lower: UInt8 = 0x80
  private var upper: UInt8 = 0xBF

  package init() {}

  /// Whether the text may end here.
  package var isComplete: Bool { needed == 0 }

  /// Answers `false` at the first byte that no valid text can have there.
  package mutating func accept(_ bytes: RawSpan) -> Bool {
    var state = self
    let isValid = bytes.withUnsafeBytes { buffer in
      var index = 0
      while index < buffer.count {
        if state.needed == 0 {
          index = Self.skipASCII(buffer, from: index)
          guard index < buffer.count else { break }
        }
        guard state.accept(buffer[index]) else { return false }
        index &+= 1
      }
      return true
    }
    self = state
    return isValid
  }

  /// The index of a byte at or before which everything is ASCII: 32 bytes, then 8, then one at a step.
  private static func skipASCII(_ buffer: UnsafeRawBufferPointer, from start: Int) -> Int {
    let high: UInt64 = 0x8080_8080_8080_8080
    var index = start
    func word(_ offset: Int) -> UInt64 { buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    while index &+ 32 <= buffer.count {
      guard (word(index) | word(index &+ 8) | word(index &+ 16) | word(index &+ 24)) & high == 0 else { break }
      index &+= 32
    }
    while index &+ 8 <= buffer.count {
      let value = UInt64(littleEndian: word(index)) & high
      guard value == 0 else { return index &+ value.trailingZeroBitCount / 8 }
      index &+= 8
    }
    while index < buffer.count, buffer[index] < 0x80 { index &+= 1 }
    return index
  }

  @inline(__always) private mutating func accept(_ byte: UInt8) -> Bool {
    if needed > 0 {
      guard byte >= lower, byte <= upper else { return false }
      needed &-= 1
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

internal import MartletPrimitives

/// Masking (RFC 6455 §5.3): byte i is combined with byte i mod 4 of the key. Done 32 bytes at a step, which an optimised
/// build turns into vector instructions.
internal enum WebSocketMask {
  /// Masks in place.
  /// - Parameters:
  ///   - start: index of the first byte to change.
  ///   - phase: how many bytes of the frame's payload came before it.
  static func apply(_ key: UInt32, to bytes: inout [UInt8], from start: Int, phase: Int) {
    guard key != 0, start < bytes.count else { return }
    bytes.withUnsafeMutableBytes { buffer in
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
      combine(UnsafeRawBufferPointer(part), rotated(key, by: phase), into: part)
    }
  }

  /// A masked or unmasked copy, made in one pass.
  static func copy(_ bytes: RawSpan, _ key: UInt32) -> [UInt8] {
    guard key != 0, bytes.byteCount > 0 else { return Array(copying: bytes) }
    return [UInt8](unsafeUninitializedCapacity: bytes.byteCount) { buffer, count in
      bytes.withUnsafeBytes { combine($0, key, into: UnsafeMutableRawBufferPointer(buffer)) }
      count = bytes.byteCount
    }
  }

  private static func rotated(_ key: UInt32, by phase: Int) -> UInt32 {
    let shift = UInt32(phase & 3) * 8
    return shift == 0 ? key : key << shift | key >> (32 - shift)
  }

  /// `target` is at least as long as `source`, and may be the same bytes.
  private static func combine(_ source: UnsafeRawBufferPointer, _ key: UInt32, into target: UnsafeMutableRawBufferPointer) {
    let wide = (UInt64(key) << 32 | UInt64(key)).bigEndian
    let count = source.count
    var index = 0
    while index &+ 32 <= count {
      let a = source.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide
      let b = source.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self) ^ wide
      let c = source.loadUnaligned(fromByteOffset: index &+ 16, as: UInt64.self) ^ wide
      let d = source.loadUnaligned(fromByteOffset: index &+ 24, as: UInt64.self) ^ wide
      target.storeBytes(of: a, toByteOffset: index, as: UInt64.self)
      target.storeBytes(of: b, toByteOffset: index &+ 8, as: UInt64.self)
      target.storeBytes(of: c, toByteOffset: index &+ 16, as: UInt64.self)
      target.storeBytes(of: d, toByteOffset: index &+ 24, as: UInt64.self)
      index &+= 32
    }
    while index &+ 8 <= count {
      target.storeBytes(of: source.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ wide, toByteOffset: index, as: UInt64.self)
      index &+= 8
    }
    var rest = UInt64(littleEndian: wide)
    while index < count {
      target[index] = source[index] ^ UInt8(truncatingIfNeeded: rest)
      rest >>= 8
      index &+= 1
    }
  }
}

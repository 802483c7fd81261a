internal import MartletPrimitives

/// Boxes of the ISO base media file format (ISO/IEC 14496-12 §4.2), written in place: the size is patched at the end.
extension ByteWriter {
  /// - Parameter type: four ASCII characters.
  mutating func box(_ type: StaticString, _ body: (inout ByteWriter) -> Void) {
    let start = count
    u32(0)
    string(type.description)
    body(&self)
    patchU32(UInt32(truncatingIfNeeded: count - start), at: start)
  }

  mutating func fullBox(_ type: StaticString, version: UInt8 = 0, flags: UInt32 = 0, _ body: (inout ByteWriter) -> Void) {
    box(type) { writer in
      writer.u8(version)
      writer.u24(flags)
      body(&writer)
    }
  }

  /// A descriptor of ISO/IEC 14496-1 §8.3.3 with its length in four bytes of seven bits.
  mutating func descriptor(_ tag: UInt8, _ body: (inout ByteWriter) -> Void) {
    u8(tag)
    let start = count
    u32(0)
    body(&self)
    let length = UInt32(truncatingIfNeeded: count - start - 4)
    let groups = [21, 14, 7, 0].map { length >> UInt32($0) & 0x7f }
    patchU32((groups[0] | 0x80) << 24 | (groups[1] | 0x80) << 16 | (groups[2] | 0x80) << 8 | groups[3], at: start)
  }

  /// The unity matrix of mvhd and tkhd.
  mutating func unityMatrix() {
    for value in [0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000] as [UInt32] { u32(value) }
  }
}

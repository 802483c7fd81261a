package import MartletPrimitives

/// The VP8 payload descriptor (RFC 7741 §4.2).
package struct VP8Descriptor: Sendable, Equatable {
  /// N: no other frame refers to this one.
  package var isDiscardable = false
  /// S: a partition begins here.
  package var isPartitionStart = false
  /// 0 to 7.
  package var partition: UInt8 = 0
  /// 7 or 15 bits.
  package var pictureID: UInt16?
  package var hasLongPictureID = true
  package var tl0PictureIndex: UInt8?
  /// TID, 0 to 3, and Y: this frame needs only the base layer.
  package var temporalLayer: UInt8?
  package var isLayerSync = false
  /// 5 bits.
  package var keyIndex: UInt8?

  package init() {}

  package init(_ reader: inout ByteReader) throws(ParseError) {
    let first = try reader.u8()
    (isDiscardable, isPartitionStart, partition) = (first & 0x20 != 0, first & 0x10 != 0, first & 0x07)
    guard first & 0x80 != 0 else { return }
    let present = try reader.u8()
    if present & 0x80 != 0 {
      let id = try reader.u8()
      hasLongPictureID = id & 0x80 != 0
      pictureID = hasLongPictureID ? UInt16(id & 0x7f) << 8 | UInt16(try reader.u8()) : UInt16(id)
    }
    if present & 0x40 != 0 { tl0PictureIndex = try reader.u8() }
    guard present & 0x30 != 0 else { return }
    let layer = try reader.u8()
    if present & 0x20 != 0 { (temporalLayer, isLayerSync) = (layer >> 6, layer & 0x20 != 0) }
    if present & 0x10 != 0 { keyIndex = layer & 0x1f }
  }

  /// The first packet of a frame.
  package var isFrameStart: Bool { isPartitionStart && partition == 0 }

  package func write(to writer: inout ByteWriter) {
    let hasExtension = pictureID != nil || tl0PictureIndex != nil || temporalLayer != nil || keyIndex != nil
    let flags: UInt8 = (hasExtension ? 0x80 : 0) | (isDiscardable ? 0x20 : 0) | (isPartitionStart ? 0x10 : 0)
    writer.u8(flags | partition & 0x07)
    guard hasExtension else { return }
    let ids: UInt8 = (pictureID == nil ? 0 : 0x80) | (tl0PictureIndex == nil ? 0 : 0x40)
    writer.u8(ids | (temporalLayer == nil ? 0 : 0x20) | (keyIndex == nil ? 0 : 0x10))
    if let pictureID {
      if hasLongPictureID { writer.u16(0x8000 | pictureID) } else { writer.u8(UInt8(truncatingIfNeeded: pictureID & 0x7f)) }
    }
    if let tl0PictureIndex { writer.u8(tl0PictureIndex) }
    guard temporalLayer != nil || keyIndex != nil else { return }
    writer.u8((temporalLayer ?? 0) << 6 | (isLayerSync ? 0x20 : 0) | (keyIndex ?? 0) & 0x1f)
  }
}

/// Frames of one layer, each with a picture id of 15 bits.
struct VP8Packetizer: Sendable {
  private let maximumSize: Int
  private var pictureID: UInt16
  private static let headerSize = 4

  init(maximumSize: Int, pictureID: UInt16) {
    self.maximumSize = maximumSize
    self.pictureID = pictureID
  }

  mutating func packetize(_ frame: Slice, into payloads: inout RTPPayloads) {
    let size = EvenSplit.partSize(frame.count, maximum: maximumSize - VP8Packetizer.headerSize)
    var offset = 0
    while offset < frame.count {
      let end = min(offset + size, frame.count)
      payloads.append(UInt8(offset == 0 ? 0x90 : 0x80))
      payloads.append(UInt8(0x80))
      payloads.append(0x8000 | pictureID)
      payloads.append(frame.sub(offset..<end))
      payloads.endPayload()
      offset = end
    }
    pictureID = (pictureID &+ 1) & 0x7fff
  }
}

struct VP8Assembler: UnitAssembler {
  private var frame = ByteWriter()
  private var isKey = false
  private var lastSize = 0

  var byteCount: Int { frame.count }
  var hasPicture: Bool { frame.count > 0 }

  func beginsUnit(_ payload: RawSpan) -> Bool {
    var reader = ByteReader(payload)
    return (try? VP8Descriptor(&reader))?.isFrameStart ?? false
  }

  mutating func append(_ payload: Slice) throws(ParseError) {
    var reader = ByteReader(payload.bytes)
    let descriptor = try VP8Descriptor(&reader)
    guard let first = reader.peek() else { throw .truncated(at: reader.offset, needed: 1) }
    let isFirst = frame.count == 0
    guard descriptor.isFrameStart == isFirst else { throw .invalid("the start of a VP8 frame out of its place", at: 0) }
    if isFirst {
      // RFC 6386 §9.1: the lowest bit is 0 in key frames.
      isKey = first & 1 == 0
      frame.bytes.reserveCapacity(lastSize)
    }
    frame.append(reader.rest())
  }

  mutating func finish() -> (payload: Slice, isKey: Bool)? {
    defer { removeAll() }
    lastSize = frame.count
    return (frame.slice, isKey)
  }

  mutating func removeAll() {
    frame = ByteWriter()
    isKey = false
  }
}

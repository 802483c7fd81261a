import MartletCodecs
internal import MartletPrimitives

/// Frames of one layer in non-flexible mode, which every browser plays; key frames carry the scalability structure.
struct VP9Packetizer: Sendable {
  private let maximumSize: Int
  private var pictureID: UInt16
  private static let headerSize = 3

  init(maximumSize: Int, pictureID: UInt16) {
    self.maximumSize = maximumSize
    self.pictureID = pictureID
  }

  mutating func packetize(_ frame: Slice, into payloads: inout RTPPayloads) throws(PayloadError) {
    let structure: Slice
    let isKey: Bool
    do throws(ParseError) {
      let header = try VP9KeyFrame(frame)
      isKey = header != nil
      structure = VP9Packetizer.structure(header)
    } catch { throw .malformed(error) }
    let size = EvenSplit.partSize(frame.count + structure.count, maximum: maximumSize - VP9Packetizer.headerSize)
    var offset = 0
    while offset < frame.count {
      let isFirst = offset == 0
      let end = min(offset + size - (isFirst ? structure.count : 0), frame.count)
      let start: UInt8 = isFirst ? (structure.isEmpty ? 0x08 : 0x0a) : 0
      // I, and Z since there is no layer above.
      payloads.append(0x81 | (isKey ? 0 : 0x40) | start | (end == frame.count ? 0x04 : 0))
      payloads.append(0x8000 | pictureID)
      if isFirst { payloads.append(structure) }
      payloads.append(frame.sub(offset..<end))
      payloads.endPayload()
      offset = end
    }
    pictureID = (pictureID &+ 1) & 0x7fff
  }

  private static func structure(_ header: VP9KeyFrame?) -> Slice {
    guard let header else { return [] }
    var writer = ByteWriter(capacity: 8)
    VP9ScalabilityStructure(width: UInt16(clamping: header.width), height: UInt16(clamping: header.height)).write(to: &writer)
    return writer.slice
  }
}

/// Pictures with all their spatial layers, which decoders take one behind the other.
struct VP9Assembler: UnitAssembler {
  private var picture = ByteWriter()
  private var isKey = false
  private var isInsideFrame = false
  private var lastSize = 0

  var byteCount: Int { picture.count }
  var hasPicture: Bool { picture.count > 0 }

  func beginsUnit(_ payload: RawSpan) -> Bool {
    var reader = ByteReader(payload)
    guard let descriptor = try? VP9Descriptor(&reader) else { return false }
    return descriptor.isFrameStart && (descriptor.layers?.spatial ?? 0) == 0
  }

  mutating func append(_ payload: Slice) throws(ParseError) {
    var reader = ByteReader(payload.bytes)
    let descriptor = try VP9Descriptor(&reader)
    guard reader.remaining > 0 else { throw .truncated(at: reader.offset, needed: 1) }
    guard descriptor.isFrameStart != isInsideFrame else { throw .invalid("the start of a VP9 frame out of its place", at: 0) }
    if picture.count == 0 {
      isKey = descriptor.isKeyFrameStart
      picture.bytes.reserveCapacity(lastSize)
    }
    picture.append(reader.rest())
    isInsideFrame = !descriptor.isFrameEnd
  }

  mutating func finish() -> (payload: Slice, isKey: Bool)? {
    defer { removeAll() }
    guard !isInsideFrame else { return nil }
    lastSize = picture.count
    return (picture.slice, isKey)
  }

  mutating func removeAll() {
    picture = ByteWriter()
    (isKey, isInsideFrame) = (false, false)
  }
}

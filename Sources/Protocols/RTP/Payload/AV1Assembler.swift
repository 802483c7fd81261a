import MartletCodecs
internal import MartletPrimitives

/// AV1 out of packets: OBUs with their sizes, without temporal delimiters.
struct AV1Assembler: UnitAssembler {
  private var unit = ByteWriter()
  /// The OBU element that goes on in the next packet.
  private var fragment: [UInt8] = []
  private(set) var hasPicture = false
  private var isKey = false
  private var lastSize = 0

  var byteCount: Int { unit.count + fragment.count }

  /// Z would be a continuation; N begins a sequence. Other packets do not say whether a frame begins with them.
  func beginsUnit(_ payload: RawSpan) -> Bool { payload.byte(at: 0).map { $0 & 0x88 == 0x08 } ?? false }

  mutating func append(_ payload: Slice) throws(ParseError) {
    if byteCount == 0 { unit.bytes.reserveCapacity(lastSize) }
    var reader = ByteReader(payload.bytes)
    let header = try reader.u8()
    let (continues, isContinued, count) = (header & 0x80 != 0, header & 0x40 != 0, Int(header >> 4 & 3))
    guard continues != fragment.isEmpty else { throw .invalid("a fragment of an OBU out of its place", at: 0) }
    if header & 0x08 != 0 { isKey = true }
    var index = 0
    while !reader.isAtEnd {
      index += 1
      let length = count != 0 && index == count ? reader.remaining : try LEB128.read(&reader)
      let element = try reader.bytes(length)
      let isUnfinished = isContinued && reader.isAtEnd
      if (index == 1 && continues) || isUnfinished {
        fragment.append(element)
        if !isUnfinished { try completeFragment() }
      } else {
        try complete(element)
      }
    }
  }

  private mutating func completeFragment() throws(ParseError) {
    let whole = exchange(&fragment, with: [])
    try complete(whole.span.bytes)
  }

  /// §5: an OBU comes without its size, which is put back; one that has it is taken too.
  private mutating func complete(_ element: RawSpan) throws(ParseError) {
    guard element.byteCount > 0 else { return }
    var reader = ByteReader(element)
    let header = try reader.u8()
    guard header & 0x80 == 0 else { throw .invalid("an OBU with its forbidden bit set", at: 0) }
    let layer = header & 0x04 == 0 ? nil : try reader.u8()
    let length = header & 0x02 == 0 ? reader.remaining : try LEB128.read(&reader)
    let body = try reader.bytes(length)
    let type = header >> 3 & 0x0f
    guard !AV1Payload.isDropped(type) else { return }
    switch type {
    case AV1.OBUType.sequenceHeader: isKey = true
    case AV1.OBUType.frameHeader, AV1.OBUType.tileGroup, AV1.OBUType.frame: hasPicture = true
    default: break
    }
    unit.u8(header | 0x02)
    if let layer { unit.u8(layer) }
    LEB128.append(length, to: &unit)
    unit.append(body)
  }

  mutating func finish() -> (payload: Slice, isKey: Bool)? {
    defer { removeAll() }
    guard fragment.isEmpty else { return nil }
    lastSize = unit.count
    return (unit.slice, isKey)
  }

  mutating func removeAll() {
    unit = ByteWriter()
    fragment = []
    (hasPicture, isKey) = (false, false)
  }
}

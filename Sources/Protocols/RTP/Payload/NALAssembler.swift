internal import MartletPrimitives

/// H.264 and HEVC out of packets: NAL units behind 4-byte lengths.
struct NALAssembler: UnitAssembler {
  private let syntax: NALSyntax
  private var unit = ByteWriter()
  /// Where the fragmented NAL unit that is under way begins, its length included.
  private var fragment: Int?
  private(set) var hasPicture = false
  private var isKey = false
  private var lastSize = 0

  init(_ syntax: NALSyntax) { self.syntax = syntax }

  var byteCount: Int { unit.count }

  func beginsUnit(_ payload: RawSpan) -> Bool {
    guard let first = payload.byte(at: 0) else { return false }
    guard syntax.type(first) == syntax.aggregationType else { return syntax.beginsUnit(syntax.type(first)) }
    // Behind the payload header and a 16-bit length.
    return payload.byte(at: syntax.headerSize + 2).map { syntax.beginsUnit(syntax.type($0)) } ?? false
  }

  mutating func append(_ payload: Slice) throws(ParseError) {
    guard payload.count >= syntax.headerSize, let first = payload.bytes.byte(at: 0) else {
      throw .truncated(at: 0, needed: syntax.headerSize)
    }
    if unit.count == 0 { unit.bytes.reserveCapacity(lastSize) }
    let type = syntax.type(first)
    guard fragment == nil || type == syntax.fragmentType else { throw .invalid("a NAL unit inside the fragments of another", at: 0) }
    switch type {
    case syntax.aggregationType: try appendAggregate(payload)
    case syntax.fragmentType: try appendFragment(payload, first)
    default: try append(unit: payload, type)
    }
  }

  private mutating func append(unit nal: Slice, _ type: UInt8) throws(ParseError) {
    try check(type)
    guard !syntax.isDispensable(type) else { return }
    note(type)
    unit.u32(UInt32(truncatingIfNeeded: nal.count))
    unit.append(nal)
  }

  /// STAP-B, MTAP and FU-B need the interleaved mode, PACI an extension: neither is ever negotiated.
  private func check(_ type: UInt8) throws(ParseError) {
    guard syntax.isUnit(type) else { throw .invalid("a payload structure of type \(type)", at: 0) }
  }

  private mutating func note(_ type: UInt8) {
    if syntax.isPicture(type) { hasPicture = true }
    if syntax.isRandomAccess(type) { isKey = true }
  }

  private mutating func appendAggregate(_ payload: Slice) throws(ParseError) {
    var offset = syntax.headerSize
    while offset < payload.count {
      let length = try NALLength.read(payload.bytes, at: offset)
      let nal = payload.sub(offset + 2..<offset + 2 + length)
      offset += 2 + length
      guard nal.count >= syntax.headerSize, let first = nal.bytes.byte(at: 0) else { continue }
      try append(unit: nal, syntax.type(first))
    }
  }

  private mutating func appendFragment(_ payload: Slice, _ first: UInt8) throws(ParseError) {
    guard let header = payload.bytes.byte(at: syntax.headerSize) else { throw .truncated(at: syntax.headerSize, needed: 1) }
    let (isStart, isEnd) = (header & 0x80 != 0, header & 0x40 != 0)
    let type = syntax == .h264 ? header & 0x1f : header & 0x3f
    guard isStart == (fragment == nil) else { throw .invalid("a fragment out of its place", at: syntax.headerSize) }
    if isStart {
      try check(type)
      fragment = unit.count
      unit.u32(0)
      unit.u8(syntax.retyped(first, type))
      if syntax == .hevc { unit.u8(payload.bytes.byte(at: 1) ?? 0) }
      note(type)
    }
    unit.append(payload.dropFirst(syntax.headerSize + 1))
    guard isEnd, let start = fragment else { return }
    fragment = nil
    if syntax.isDispensable(type) { return unit.bytes.removeLast(unit.count - start) }
    unit.patchU32(UInt32(truncatingIfNeeded: unit.count - start - 4), at: start)
  }

  mutating func finish() -> (payload: Slice, isKey: Bool)? {
    defer { removeAll() }
    // Nothing is left of a picture whose last fragment called itself something else.
    guard fragment == nil, unit.count > 0 else { return nil }
    lastSize = unit.count
    return (unit.slice, isKey)
  }

  mutating func removeAll() {
    unit = ByteWriter()
    (fragment, hasPicture, isKey) = (nil, false, false)
  }
}

/// The 16-bit length before a NAL unit in an aggregate.
enum NALLength {
  static func read(_ payload: RawSpan, at offset: Int) throws(ParseError) -> Int {
    guard let high = payload.byte(at: offset), let low = payload.byte(at: offset + 1) else { throw .truncated(at: offset, needed: 2) }
    let length = Int(high) << 8 | Int(low)
    guard length <= payload.byteCount - offset - 2 else { throw .truncated(at: offset + 2, needed: length) }
    return length
  }
}

import MartletCodecs
internal import MartletPrimitives

/// AV1 (RTP Payload Format for AV1 §4): the OBUs of a temporal unit without their sizes, as elements of packets.
struct AV1Packetizer: Sendable {
  /// An OBU without its size field; never copied before it is written.
  private struct Element {
    /// One byte or two.
    var header: UInt8
    var layer: UInt8?
    var payload: Slice

    var headerSize: Int { layer == nil ? 1 : 2 }
    var count: Int { headerSize + payload.count }
  }

  /// A part of an element in a packet.
  private struct Piece {
    var element: Int
    var range: Range<Int>
  }

  private let maximumSize: Int
  /// An element is not begun in less room: its length and header would be most of it.
  private static let leastPiece = 16

  init(maximumSize: Int) { self.maximumSize = maximumSize }

  func packetize(_ temporalUnit: Slice, isKey: Bool, into payloads: inout RTPPayloads) throws(PayloadError) {
    let elements: [Element]
    do { elements = try AV1Packetizer.elements(temporalUnit) } catch { throw .malformed(error) }
    // §4.4: N marks the first packet of a coded video sequence, which begins with a sequence header.
    let isNew = isKey && elements.contains { $0.header >> 3 & 0x0f == AV1.OBUType.sequenceHeader }
    let size = packetSize(elements)
    var (pieces, room): ([Piece], Int) = ([], size - 1)
    func flush() {
      guard !pieces.isEmpty else { return }
      write(pieces, elements, isNew: isNew && payloads.isEmpty, to: &payloads)
      (pieces, room) = ([], size - 1)
    }
    for (index, element) in elements.enumerated() {
      var offset = 0
      while offset < element.count {
        let left = element.count - offset
        let cost = LEB128.size(left) + left
        // §5: the OBUs of a packet belong to one layer.
        let isForeign = pieces.first.map { elements[$0.element].layer != element.layer } ?? false
        if isForeign || (room < AV1Packetizer.leastPiece && cost > room) { flush() }
        let taken = cost <= room ? left : room - LEB128.size(room)
        pieces.append(Piece(element: index, range: offset..<offset + taken))
        offset += taken
        room -= LEB128.size(taken) + taken
        if offset < element.count { flush() }
      }
    }
    flush()
  }

  /// §5: temporal delimiters and tile lists are not sent; padding says nothing.
  private static func elements(_ temporalUnit: Slice) throws(ParseError) -> [Element] {
    var units = AV1.OBUs(temporalUnit)
    var elements: [Element] = []
    while let unit = try units.next() {
      guard !AV1Payload.isDropped(unit.type), let header = unit.whole.bytes.byte(at: 0) else { continue }
      let layer = header & 0x04 == 0 ? nil : unit.whole.bytes.byte(at: 1)
      elements.append(Element(header: header & ~0x02, layer: layer, payload: unit.payload))
    }
    return elements
  }

  /// Such that all packets but the last are alike. An element costs a length of up to three bytes.
  private func packetSize(_ elements: [Element]) -> Int {
    let total = elements.reduce(0) { $0 + $1.count + 3 }
    return EvenSplit.partSize(total, maximum: maximumSize - 3) + 3
  }

  /// §4.4: with up to three elements their number is said, and the last needs no length.
  private func write(_ pieces: [Piece], _ elements: [Element], isNew: Bool, to payloads: inout RTPPayloads) {
    guard let first = pieces.first, let last = pieces.last else { return }
    let counted = pieces.count <= 3
    let isContinued = last.range.upperBound < elements[last.element].count
    let continuity: UInt8 = (first.range.lowerBound > 0 ? 0x80 : 0) | (isContinued ? 0x40 : 0)
    payloads.append(continuity | (counted ? UInt8(pieces.count) << 4 : 0) | (isNew ? 0x08 : 0))
    for (index, piece) in pieces.enumerated() {
      if !counted || index + 1 < pieces.count { LEB128.append(piece.range.count, to: &payloads) }
      append(piece.range, of: elements[piece.element], to: &payloads)
    }
    payloads.endPayload()
  }

  private func append(_ range: Range<Int>, of element: Element, to payloads: inout RTPPayloads) {
    if range.contains(0) { payloads.append(element.header) }
    if range.contains(1), let layer = element.layer { payloads.append(layer) }
    let start = max(range.lowerBound, element.headerSize)
    if start < range.upperBound {
      payloads.append(element.payload.sub(start - element.headerSize..<range.upperBound - element.headerSize))
    }
  }
}

enum AV1Payload {
  /// Temporal delimiters, tile lists and padding.
  static func isDropped(_ type: UInt8) -> Bool { type == AV1.OBUType.temporalDelimiter || type == 8 || type == AV1.OBUType.padding }
}

/// leb128() of AV1 §4.10.5, at most 32 bits.
enum LEB128 {
  static func size(_ value: Int) -> Int { value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : value < 1 << 28 ? 4 : 5 }

  @_lifetime(reader: copy reader)
  static func read(_ reader: inout ByteReader) throws(ParseError) -> Int {
    var value = 0
    for index in 0..<5 {
      let byte = try reader.u8()
      value |= Int(byte & 0x7f) << (index * 7)
      if byte & 0x80 == 0 { return value }
    }
    throw .invalid("a leb128 number above 32 bits", at: reader.offset)
  }

  static func append(_ value: Int, to payloads: inout RTPPayloads) {
    var left = value
    while left >= 0x80 {
      payloads.append(UInt8(truncatingIfNeeded: left & 0x7f | 0x80))
      left >>= 7
    }
    payloads.append(UInt8(truncatingIfNeeded: left))
  }

  static func append(_ value: Int, to writer: inout ByteWriter) {
    var left = value
    while left >= 0x80 {
      writer.u8(UInt8(truncatingIfNeeded: left & 0x7f | 0x80))
      left >>= 7
    }
    writer.u8(UInt8(truncatingIfNeeded: left))
  }
}

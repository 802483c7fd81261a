internal import MartletPrimitives

extension TransportFeedback {
  init(parsing body: RawSpan, _ limits: RTCPLimits) throws(ParseError) {
    var reader = ByteReader(body)
    sender = try reader.u32()
    media = try reader.u32()
    baseSequenceNumber = try reader.u16()
    let count = Int(try reader.u16())
    guard count <= limits.feedbackPackets else { throw .limit("packets in a transport-wide feedback", maximum: limits.feedbackPackets) }
    // Shifted up and down again, which extends the sign.
    referenceTime = Int32(bitPattern: try reader.u24() << 8) >> 8
    feedbackCount = try reader.u8()
    var symbols: [Symbol] = []
    symbols.reserveCapacity(count)
    while symbols.count < count { Self.append(chunk: try reader.u16(), to: &symbols, until: count) }
    deltas = []
    deltas.reserveCapacity(count)
    for symbol in symbols {
      switch symbol {
      case .notReceived: deltas.append(nil)
      case .smallDelta: deltas.append(Int16(try reader.u8()))
      case .largeDelta: deltas.append(Int16(bitPattern: try reader.u16()))
      case .reserved: throw .invalid("the reserved packet status", at: reader.offset)
      }
    }
  }

  /// §3.1.3 (run length) and §3.1.4 (status vector); what a vector has beyond `count` is filling.
  private static func append(chunk: UInt16, to symbols: inout [Symbol], until count: Int) {
    let space = count - symbols.count
    switch chunk >> 14 {
    case 0, 1:
      let symbol = Symbol(rawValue: chunk >> 13 & 3) ?? .reserved
      symbols.append(contentsOf: repeatElement(symbol, count: min(space, Int(chunk & 0x1FFF))))
    case 2:
      for bit in 0..<min(space, 14) { symbols.append(chunk >> UInt16(13 - bit) & 1 == 0 ? .notReceived : .smallDelta) }
    default:
      for place in 0..<min(space, 7) { symbols.append(Symbol(rawValue: chunk >> UInt16(12 - 2 * place) & 3) ?? .reserved) }
    }
  }
}

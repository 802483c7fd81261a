package import MartletPrimitives

extension TransportFeedback {
  /// - Precondition: at most 65,535 deltas.
  package func write(into writer: inout ByteWriter) {
    let start = writer.startFeedback(sender: sender, media: media)
    writer.u16(baseSequenceNumber)
    writer.u16(UInt16(clamping: deltas.count))
    writer.u24(UInt32(bitPattern: referenceTime) & 0xFF_FFFF)
    writer.u8(feedbackCount)
    var index = 0
    while index < deltas.count { index += writeChunk(at: index, into: &writer) }
    for case .some(let delta) in deltas {
      if Self.symbol(delta) == .smallDelta {
        writer.u8(UInt8(truncatingIfNeeded: delta))
      } else {
        writer.u16(UInt16(bitPattern: delta))
      }
    }
    writer.finishControlPacket(from: start, type: RTCPType.transportFeedback, count: Self.format)
  }

  /// Writes the chunk that covers most, and answers how many packets that is. A run is as good as a vector when it is as long, or
  /// when it is all there is.
  private func writeChunk(at index: Int, into writer: inout ByteWriter) -> Int {
    let rest = deltas.count - index
    let symbol = Self.symbol(deltas[index])
    var run = 1
    while run < min(rest, 0x1FFF), Self.symbol(deltas[index + run]) == symbol { run += 1 }
    let fitsOneBit = !deltas[index..<index + min(rest, 14)].contains { Self.symbol($0) == .largeDelta }
    let covered = min(rest, fitsOneBit ? 14 : 7)
    if run >= covered {
      writer.u16(symbol.rawValue << 13 | UInt16(truncatingIfNeeded: run))
      return run
    }
    var chunk: UInt16 = fitsOneBit ? 0x8000 : 0xC000
    for place in 0..<covered {
      let shift = fitsOneBit ? 13 - place : 12 - 2 * place
      chunk |= Self.symbol(deltas[index + place]).rawValue << UInt16(shift)
    }
    writer.u16(chunk)
    return covered
  }
}

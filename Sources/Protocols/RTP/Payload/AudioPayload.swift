internal import MartletPrimitives

/// Opus (RFC 7587 §4.2): a frame is a payload. G.711 and G.722 (RFC 3551 §4.5): a byte is a tick of the 8,000 Hz clock, which G.722
/// keeps for a historic mistake (§4.5.2), and frames are cut to the packet time.
struct AudioPacketizer: Sendable {
  private let maximumSize: Int
  /// Ticks of a packet of a codec with one byte a tick; `nil` for one whose frames cannot be cut.
  private let packetTicks: Int?

  init(maximumSize: Int, packetTicks: Int?) {
    self.maximumSize = maximumSize
    self.packetTicks = packetTicks.map { min($0, maximumSize) }
  }

  func packetize(_ frame: Slice, into payloads: inout RTPPayloads) throws(PayloadError) {
    guard let packetTicks else {
      guard frame.count <= maximumSize else { throw .tooLarge("an audio frame", bytes: frame.count, maximum: maximumSize) }
      payloads.append(frame)
      return payloads.endPayload()
    }
    var offset = 0
    while offset < frame.count {
      payloads.append(frame.sub(offset..<offset + packetTicks))
      payloads.endPayload(timestampOffset: UInt32(truncatingIfNeeded: offset))
      offset += packetTicks
    }
  }
}

/// Each payload is a frame, or under RED several of which the last is new.
struct AudioDepacketizer: Sendable {
  private let isRedundant: Bool
  private var expected: Int64?
  private var lastTimestamp: Int64?

  init(isRedundant: Bool = false) { self.isRedundant = isRedundant }

  mutating func receive(_ packet: SequencedPayload, into events: inout [DepacketizerEvent]) {
    var missing: Int64 = 0
    if let expected {
      guard packet.sequence >= expected else { return }
      missing = packet.sequence &- expected
    }
    expected = packet.sequence &+ 1
    guard isRedundant else {
      if missing > 0 { events.append(.lost) }
      return emit(packet, packet.timestamp, packet.payload, &events)
    }
    guard let blocks = try? RED.blocks(packet.payload) else { return events.append(.lost) }
    recover(missing, blocks, packet, &events)
  }

  /// Blocks newer than what came out last take the place of lost packets, one each.
  private mutating func recover(_ missing: Int64, _ blocks: [RED.Block], _ packet: SequencedPayload, _ events: inout [DepacketizerEvent]) {
    let redundant = blocks.dropLast().filter { block in
      guard let lastTimestamp, missing > 0, !block.payload.isEmpty else { return false }
      let timestamp = packet.timestamp &- Int64(block.timestampOffset)
      return timestamp > lastTimestamp && timestamp < packet.timestamp
    }
    if Int64(redundant.count) < missing { events.append(.lost) }
    for block in redundant { emit(packet, packet.timestamp &- Int64(block.timestampOffset), block.payload, &events) }
    if let primary = blocks.last { emit(packet, packet.timestamp, primary.payload, &events) }
  }

  /// An empty payload is silence that is not sent.
  private mutating func emit(_ packet: SequencedPayload, _ timestamp: Int64, _ payload: Slice, _ events: inout [DepacketizerEvent]) {
    guard !payload.isEmpty else { return }
    lastTimestamp = timestamp
    let sequences = packet.sequence...packet.sequence
    events.append(.unit(AccessUnit(timestamp: timestamp, isKey: true, payload: payload, sequences: sequences)))
  }
}

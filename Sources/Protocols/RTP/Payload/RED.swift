package import MartletPrimitives

/// Redundant audio data (RFC 2198): older frames travel again in front of a new one.
package enum RED {
  package struct Block: Sendable, Equatable {
    package var payloadType: UInt8
    /// Ticks before the packet's timestamp, 14 bits; 0 for the primary block.
    package var timestampOffset: UInt16
    package var payload: Slice

    package init(payloadType: UInt8, timestampOffset: UInt16, payload: Slice) {
      (self.payloadType, self.timestampOffset, self.payload) = (payloadType, timestampOffset, payload)
    }
  }

  /// A packet holds one block of each age; browsers send up to nine.
  static let maximumBlocks = 32

  /// The blocks of a payload, oldest first; the last is the primary one.
  package static func blocks(_ payload: Slice) throws(ParseError) -> [Block] {
    var reader = ByteReader(payload.bytes)
    var heads: [(type: UInt8, offset: UInt16, length: Int)] = []
    while true {
      let first = try reader.u8()
      guard first & 0x80 != 0 else {
        heads.append((first & 0x7f, 0, -1))
        break
      }
      guard heads.count < maximumBlocks else { throw .limit("blocks of redundant audio", maximum: maximumBlocks) }
      let rest = try reader.u24()
      heads.append((first & 0x7f, UInt16(truncatingIfNeeded: rest >> 10), Int(rest & 0x3ff)))
    }
    var offset = reader.offset
    var blocks: [Block] = []
    for head in heads {
      let length = head.length < 0 ? payload.count - offset : head.length
      guard length >= 0, length <= payload.count - offset else { throw .truncated(at: offset, needed: head.length) }
      blocks.append(Block(payloadType: head.type, timestampOffset: head.offset, payload: payload.sub(offset..<offset + length)))
      offset += length
    }
    return blocks
  }
}

/// Sends each audio frame twice: as the primary block of its packet and as the redundant one of the next.
package struct REDEncoder: Sendable {
  /// Of the frames, not of the RED packets.
  private let payloadType: UInt8
  private let maximumSize: Int
  private var previous: (timestamp: UInt32, frame: Slice)?

  package init(payloadType: UInt8, maximumSize: Int = RTPPacketizer.Options().maximumSize) {
    self.payloadType = payloadType & 0x7f
    self.maximumSize = maximumSize
  }

  /// Puts the payload for a frame in the place of what `payloads` held. The previous frame is left out where it does not fit
  /// into the packet or the fields of its header (§3): 10 bits of length, 14 of time.
  package mutating func encode(_ frame: Slice, timestamp: UInt32, into payloads: inout RTPPayloads) {
    payloads.removeAll()
    var redundant: Slice?
    if let previous {
      let offset = timestamp &- previous.timestamp
      if 1...0x3fff ~= offset, previous.frame.count <= 0x3ff, previous.frame.count + frame.count + 5 <= maximumSize {
        let head = offset << 10 | UInt32(truncatingIfNeeded: previous.frame.count)
        payloads.append(0x80 | payloadType)
        payloads.append(UInt8(truncatingIfNeeded: head >> 16))
        payloads.append(UInt16(truncatingIfNeeded: head))
        redundant = previous.frame
      }
    }
    payloads.append(payloadType)
    if let redundant { payloads.append(redundant) }
    payloads.append(frame)
    payloads.endPayload()
    previous = (timestamp, frame)
  }
}

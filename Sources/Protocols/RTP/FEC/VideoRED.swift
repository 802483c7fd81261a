package import MartletPrimitives

/// RED as video has it (RFC 2198 §3, RFC 5109 §14): one block, which is media or the FEC for it.
package enum VideoRED {
  package struct Opened: Equatable, Sendable {
    /// Where in the buffer the packet lies without RED.
    package var range: Range<Int>
    /// Of the block.
    package var payloadType: UInt8
  }

  /// Takes RED off a packet in place: the header moves over that of the block.
  /// - Throws: also for several blocks, which no sender of video makes.
  package static func open(_ packet: UnsafeMutableRawBufferPointer) throws(ParseError) -> Opened {
    let bytes = UnsafeRawBufferPointer(packet).bytes
    let header = try RTPHeader(parsing: bytes)
    let payload = try header.payloadRange(in: bytes)
    guard !payload.isEmpty, let first = bytes.byte(at: payload.lowerBound) else { throw .truncated(at: header.byteCount, needed: 1) }
    guard first & 0x80 == 0 else { throw .invalid("several blocks in RED of video", at: payload.lowerBound) }
    let opened = UnsafeMutableRawBufferPointer(rebasing: packet[1...])
    opened.copyMemory(from: UnsafeRawBufferPointer(rebasing: packet[..<header.byteCount]))
    opened[1] = (header.marker ? 0x80 : 0) | first
    return Opened(range: 1..<packet.count, payloadType: first)
  }
}

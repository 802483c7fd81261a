internal import MartletPrimitives

/// What FEC takes of RTP packets, XORed (RFC 5109 §7.1, §8.1): the header's fields but version, sequence number and SSRC, the
/// length behind the fixed header, and everything behind the fixed header.
package struct Parity: Sendable, Equatable {
  /// P, X, CC, M and PT in the places of the header's first two bytes.
  package private(set) var flags: UInt16 = 0
  package private(set) var timestamp: UInt32 = 0
  /// Of what follows the fixed header.
  package private(set) var length: UInt16 = 0
  package private(set) var payload: [UInt8] = []
  /// The two bits of the version say nothing.
  private static let flagsMask: UInt16 = 0x3FFF

  package init() {}

  package init(flags: UInt16, timestamp: UInt32, length: UInt16, payload: RawSpan) {
    self.flags = flags & Self.flagsMask
    self.timestamp = timestamp
    self.length = length
    self.payload = Array(copying: payload)
  }

  /// Adds a packet, or takes it out again. One without a whole header is none.
  package mutating func toggle(_ packet: RawSpan) {
    var reader = ByteReader(packet)
    guard let first = try? reader.u16(), (try? reader.u16()) != nil, let ticks = try? reader.u32(), (try? reader.u32()) != nil,
      let count = UInt16(exactly: reader.remaining)
    else { return }
    flags ^= first & Self.flagsMask
    timestamp ^= ticks
    length ^= count
    if payload.count < Int(count) { payload.append(contentsOf: repeatElement(0, count: Int(count) - payload.count)) }
    packet.extracting(RTPHeader.minimumBytes..<packet.byteCount).withUnsafeBytes { source in
      payload.withUnsafeMutableBytes { target in for index in source.indices { target[index] ^= source[index] } }
    }
  }

  package mutating func removeAll() {
    (flags, timestamp, length) = (0, 0, 0)
    payload.removeAll(keepingCapacity: true)
  }

  /// The one packet that is left; `nil` when what is left is none.
  package func packet(sequenceNumber: UInt16, ssrc: UInt32) -> [UInt8]? {
    guard Int(length) <= payload.count else { return nil }
    var writer = ByteWriter(capacity: RTPHeader.minimumBytes + Int(length))
    writer.u16(0x8000 | flags)
    writer.u16(sequenceNumber)
    writer.u32(timestamp)
    writer.u32(ssrc)
    writer.append(payload.span.bytes.extracting(0..<Int(length)))
    guard let header = try? RTPHeader(parsing: writer.bytes.span.bytes), (try? header.payloadRange(in: writer.bytes.span.bytes)) != nil
    else { return nil }
    return writer.bytes
  }
}

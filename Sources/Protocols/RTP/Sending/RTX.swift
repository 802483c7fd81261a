package import MartletPrimitives

/// Retransmission in a stream of its own (RFC 4588 §4): the payload is the original sequence number and the original payload.
package enum RTX {
  /// The original sequence number.
  package static let overhead = 2

  /// What a retransmission was before it was wrapped.
  package struct Restored: Equatable, Sendable {
    /// Where in the buffer the original packet now lies.
    package var range: Range<Int>
    package var sequenceNumber: UInt16
  }

  /// Makes the original packet of a retransmission, in place: the header moves over the original sequence number and takes the
  /// original stream's fields. `nil` for one that is nothing but padding, as it is sent to probe a path.
  ///
  /// - Parameter packet: a whole RTP packet, decrypted.
  package static func restore(
    _ packet: UnsafeMutableRawBufferPointer, ssrc: UInt32, payloadType: UInt8
  ) throws(ParseError) -> Restored? {
    let bytes = UnsafeRawBufferPointer(packet).bytes
    let header = try RTPHeader(parsing: bytes)
    let payload = try header.payloadRange(in: bytes)
    guard payload.count >= overhead else {
      guard payload.isEmpty else { throw .truncated(at: payload.lowerBound, needed: overhead) }
      return nil
    }
    let number = UInt16(bigEndian: packet.loadUnaligned(fromByteOffset: payload.lowerBound, as: UInt16.self))
    let original = UnsafeMutableRawBufferPointer(rebasing: packet[overhead...])
    original.copyMemory(from: UnsafeRawBufferPointer(rebasing: packet[..<header.byteCount]))
    original[1] = (header.marker ? 0x80 : 0) | payloadType & 0x7F
    original.storeBytes(of: number.bigEndian, toByteOffset: 2, as: UInt16.self)
    original.storeBytes(of: ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
    return Restored(range: overhead..<packet.count, sequenceNumber: number)
  }
}

extension SRTPSender {
  /// Protects a retransmission: `header` is that of the RTX stream, `payload` the original one, with its padding if `header` says
  /// so. It is copied behind the original sequence number and encrypted there.
  package mutating func protect(
    header: RawSpan, originalSequenceNumber: UInt16, payload: RawSpan, into destination: UnsafeMutableRawBufferPointer
  ) throws(SRTPError) -> Int {
    let start = header.byteCount
    let count = start + RTX.overhead + payload.byteCount
    guard destination.count >= count + profile.rtpOverhead else {
      throw .doesNotFit(needed: count + profile.rtpOverhead, available: destination.count)
    }
    destination.storeBytes(of: originalSequenceNumber.bigEndian, toByteOffset: start, as: UInt16.self)
    payload.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: destination[(start + RTX.overhead)...]).copyMemory(from: $0) }
    let wrapped = UnsafeRawBufferPointer(rebasing: destination[start..<count])
    return try protect(header: header, payload: wrapped.bytes, into: destination)
  }
}

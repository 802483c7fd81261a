package import MartletPrimitives

/// Datagrams over a TCP candidate pair: each behind its length in two bytes (RFC 4571 §2, RFC 6544 §3).
package struct ICEStreamReader: Sendable {
  private var held: [UInt8] = []
  private let frameBytes: Int

  /// - Parameter frameBytes: The longest datagram that is taken. STUN, DTLS, SRTP and SRTCP stay below 1500.
  package init(frameBytes: Int = 2048) { self.frameBytes = frameBytes }

  /// Bytes of a datagram that is not complete: never more than one.
  package var heldBytes: Int { held.count }

  /// Appends each datagram that is complete; empty ones are passed over. After an error the stream cannot be read on.
  package mutating func receive(_ bytes: RawSpan, into datagrams: inout [Slice]) throws(ICEError) {
    held.append(bytes)
    let whole = Slice(exchange(&held, with: []))
    var offset = 0
    while let high = whole.bytes.byte(at: offset), let low = whole.bytes.byte(at: offset + 1) {
      let length = Int(high) << 8 | Int(low)
      guard length <= frameBytes else { throw .limit("bytes of a datagram on TCP", maximum: frameBytes) }
      guard whole.count - offset - 2 >= length else { break }
      if length > 0 { datagrams.append(whole.sub(offset + 2..<offset + 2 + length)) }
      offset += 2 + length
    }
    held = offset == 0 ? whole.array : whole.dropFirst(offset).array
  }
}

package enum ICEStream {
  /// Appends one datagram; `false`, and nothing appended, when it is longer than 65,535 bytes.
  package static func write(_ datagram: RawSpan, into output: inout [UInt8]) -> Bool {
    guard let length = UInt16(exactly: datagram.byteCount) else { return false }
    output.append(UInt8(truncatingIfNeeded: length >> 8))
    output.append(UInt8(truncatingIfNeeded: length))
    output.append(datagram)
    return true
  }
}

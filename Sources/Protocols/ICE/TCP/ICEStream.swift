internal import MartletPrimitives

/// Datagrams over a TCP candidate pair: each behind its length in two bytes (RFC 4571 §2, RFC 6544 §3).
package struct ICEStreamReader: Sendable {
  /// Length and bytes of a datagram that was cut.
  private var held: [UInt8] = []

  package init() {}

  /// Bytes of a datagram that is not complete: never more than one.
  package var heldBytes: Int { held.count }

  /// Reads on in `bytes` from `offset` until a datagram is complete; empty ones are passed over. After an error the stream cannot
  /// be read on.
  ///
  /// - Parameter datagram: Takes the datagram; a longer one is an error.
  /// - Returns: The length of the datagram; `nil` once all bytes are used up.
  package mutating func next(
    in bytes: RawSpan, at offset: inout Int, into datagram: UnsafeMutableRawBufferPointer
  ) throws(ICEError) -> Int? {
    while offset < bytes.byteCount {
      let rest = bytes.extracting(offset..<bytes.byteCount)
      let length: Int
      if held.isEmpty, let whole = try Self.length(rest, datagram.count), rest.byteCount >= 2 + whole {
        datagram.copyMemory(from: rest, 2..<2 + whole)
        offset += 2 + whole
        length = whole
      } else {
        guard let joined = try join(rest, &offset, into: datagram) else { continue }
        length = joined
      }
      if length > 0 { return length }
    }
    return nil
  }

  /// Adds to what is held, as far as one datagram goes.
  private mutating func join(
    _ rest: RawSpan, _ offset: inout Int, into datagram: UnsafeMutableRawBufferPointer
  ) throws(ICEError) -> Int? {
    let wanted = try Self.length(held.span.bytes, datagram.count).map { 2 + $0 } ?? 2
    let taken = min(wanted - held.count, rest.byteCount)
    held.append(rest.extracting(0..<taken))
    offset += taken
    guard let length = try Self.length(held.span.bytes, datagram.count), held.count == 2 + length else { return nil }
    datagram.copyMemory(from: held.span.bytes, 2..<2 + length)
    held.removeAll(keepingCapacity: true)
    return length
  }

  private static func length(_ bytes: RawSpan, _ limit: Int) throws(ICEError) -> Int? {
    guard let high = bytes.byte(at: 0), let low = bytes.byte(at: 1) else { return nil }
    let length = Int(high) << 8 | Int(low)
    guard length <= limit else { throw .limit("bytes of a datagram on TCP", maximum: limit) }
    return length
  }
}

package enum ICEStream {
  /// Of the length before each datagram.
  package static let headerBytes = 2

  /// Appends one datagram; `false`, and nothing appended, when it is longer than 65,535 bytes.
  package static func write(_ datagram: RawSpan, into output: inout [UInt8]) -> Bool {
    guard let length = UInt16(exactly: datagram.byteCount) else { return false }
    output.append(UInt8(truncatingIfNeeded: length >> 8))
    output.append(UInt8(truncatingIfNeeded: length))
    output.append(datagram)
    return true
  }
}

extension UnsafeMutableRawBufferPointer {
  fileprivate func copyMemory(from bytes: RawSpan, _ range: Range<Int>) {
    bytes.extracting(range).withUnsafeBytes { copyMemory(from: $0) }
  }
}

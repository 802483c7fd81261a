package import MartletPrimitives

/// RFC 9260 §3.2, RFC 3758 §3.2, RFC 6525 §3.1, RFC 8260 §2.
package enum ChunkType {
  package static let data: UInt8 = 0
  package static let initiation: UInt8 = 1
  package static let initiationAck: UInt8 = 2
  package static let selectiveAck: UInt8 = 3
  package static let heartbeat: UInt8 = 4
  package static let heartbeatAck: UInt8 = 5
  package static let abort: UInt8 = 6
  package static let shutdown: UInt8 = 7
  package static let shutdownAck: UInt8 = 8
  package static let error: UInt8 = 9
  package static let cookieEcho: UInt8 = 10
  package static let cookieAck: UInt8 = 11
  package static let shutdownComplete: UInt8 = 14
  package static let interleavedData: UInt8 = 64
  package static let reconfiguration: UInt8 = 130
  package static let forwardTSN: UInt8 = 192
  package static let interleavedForwardTSN: UInt8 = 194
}

/// Type, flags and length of a chunk (RFC 9260 §3.2).
package struct ChunkHeader: Equatable, Sendable {
  package static let byteCount = 4

  package var type: UInt8
  package var flags: UInt8
  package var bodyBytes: Int

  @_lifetime(reader: copy reader)
  package init(parsing reader: inout ByteReader) throws(ParseError) {
    let start = reader.offset
    type = try reader.u8()
    flags = try reader.u8()
    let length = Int(try reader.u16())
    guard length >= Self.byteCount else { throw .invalid("a chunk shorter than its header", at: start) }
    bodyBytes = length - Self.byteCount
  }

  /// Bytes that bring the next chunk to a multiple of four.
  package var padding: Int { -bodyBytes & 3 }

  /// RFC 9260 §3.2: what the two highest bits of an unknown type ask for.
  package var stopsWhenUnknown: Bool { type & 0x80 == 0 }
  package var isReportedWhenUnknown: Bool { type & 0x40 != 0 }
}

extension ByteWriter {
  /// Begins a chunk or a parameter, whose length is not known yet, behind the padding of the one before it. (The length of a chunk
  /// does not count the padding of its last parameter, RFC 9260 §3.2.)
  /// - Returns: what `endChunk` and `endParameter` want to know.
  mutating func beginBlock() -> Int {
    zeros(-count & 3)
    u32(0)
    return count - 4
  }

  /// Writes type, flags and length where the block began, and pads it.
  mutating func endChunk(_ type: UInt8, flags: UInt8 = 0, at start: Int) {
    patchU32(UInt32(type) << 24 | UInt32(flags) << 16 | UInt32(UInt16(clamping: count - start)), at: start)
    zeros(-count & 3)
  }

  mutating func endParameter(_ type: UInt16, at start: Int) {
    patchU32(UInt32(type) << 16 | UInt32(UInt16(clamping: count - start)), at: start)
  }

  /// A chunk that is only a header.
  mutating func emptyChunk(_ type: UInt8, flags: UInt8 = 0) {
    u32(UInt32(type) << 24 | UInt32(flags) << 16 | 4)
  }
}

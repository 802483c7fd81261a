internal import CZlib

/// A container around deflated data.
package enum CompressionFormat: Sendable {
  /// RFC 1952, the content coding `gzip`.
  case gzip
  /// RFC 1950, the content coding `deflate`.
  case zlib
  /// RFC 1951 without a container, as in permessage-deflate.
  case raw

  /// zlib's windowBits.
  internal var windowBits: Int32 {
    switch self {
    case .gzip: 15 + 16
    case .zlib: 15
    case .raw: -15
    }
  }
}

/// Compresses a stream piece by piece. Holds about 260 KB until it is released; a `.raw` one with a window of 2^n bytes
/// 128 KB and 4 * 2^n bytes.
package final class Deflater {
  private let stream: UnsafeMutablePointer<z_stream>

  /// - Parameters:
  ///   - level: 1 (fast) to 9 (small).
  ///   - windowBits: 8 to 15, how far back matches reach; for `.raw` only. zlib knows no raw window of 8 bits: there, matches
  ///     reach one byte back, which any window holds.
  package init(_ format: CompressionFormat = .gzip, level: Int = 6, windowBits: Int = 15) {
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let bits = if case .raw = format { -Int32(min(max(windowBits, 9), 15)) } else { format.windowBits }
    let done = deflateInit2_(
      stream, Int32(min(max(level, 1), 9)), Z_DEFLATED, bits, 8, windowBits < 9 ? Z_RLE : Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    precondition(done == Z_OK, "zlib accepts its own constants")
  }

  /// Forgets everything before: the next byte begins a new stream.
  package func reset() { deflateReset(stream) }

  deinit {
    deflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  package enum Flush: Sendable {
    /// As much as is convenient.
    case none
    /// Everything so far can be decoded: for streams that people watch.
    case sync
    /// The end.
    case finish
  }

  package func compress(_ bytes: RawSpan, flush: Flush = .none, into output: inout [UInt8]) {
    let mode =
      switch flush {
      case .none: Z_NO_FLUSH
      case .sync: Z_SYNC_FLUSH
      case .finish: Z_FINISH
      }
    bytes.withUnsafeBytes { input in
      stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
      stream.pointee.avail_in = UInt32(truncatingIfNeeded: input.count)
      repeat {
        output.append(zlibChunk: stream) { _ = deflate(stream, mode) }
      } while stream.pointee.avail_out == 0
      stream.pointee.next_in = nil
    }
  }

  /// All of `bytes` at once.
  package static func compress(_ bytes: [UInt8], _ format: CompressionFormat = .gzip, level: Int = 6) -> [UInt8] {
    var output: [UInt8] = []
    Deflater(format, level: level).compress(bytes.span.bytes, flush: .finish, into: &output)
    return output
  }
}

extension [UInt8] {
  /// Appends what one call of zlib makes of at most `maximum` bytes of room.
  internal mutating func append(zlibChunk stream: UnsafeMutablePointer<z_stream>, maximum: Int = 16384, _ body: () -> Void) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: maximum) { room in
      stream.pointee.next_out = room.baseAddress
      stream.pointee.avail_out = UInt32(maximum)
      body()
      stream.pointee.next_out = nil
      append(contentsOf: UnsafeBufferPointer(rebasing: room[..<(maximum - Int(stream.pointee.avail_out))]))
    }
  }
}

internal import CZlib
package import MartletPrimitives

/// Decompresses a peer's stream piece by piece, up to a bound: a kilobyte can claim to be a megabyte, again and again.
package final class Inflater {
  private let stream: UnsafeMutablePointer<z_stream>
  private var maximum: Int
  private var produced = 0
  /// The compressed stream is complete; what follows is ignored.
  package private(set) var isFinished = false

  /// - Parameter maximum: bytes that may come out over the life of the stream.
  package init(_ format: CompressionFormat = .gzip, maximum: Int) {
    self.maximum = maximum
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let done = inflateInit2_(stream, format.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(done == Z_OK, "zlib accepts its own constants")
  }

  deinit {
    inflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
  }

  /// Begins another stream, or with `keepingWindow` goes on with the bytes before as its dictionary.
  package func reset(maximum: Int, keepingWindow: Bool = false) {
    self.maximum = maximum
    (produced, isFinished) = (0, false)
    if !keepingWindow { inflateReset(stream) }
  }

  /// Goes on behind the last block of a raw stream: what a peer of permessage-deflate may send (RFC 7692 §7.2.3.5) is several
  /// streams with one window.
  package func continueBehindEnd() {
    guard isFinished else { return }
    isFinished = false
    inflateResetKeep(stream)
  }

  /// What came so far ends with a block and a whole byte.
  internal var isBetweenBlocks: Bool { stream.pointee.data_type & 0x9F == 0x80 }

  /// - Throws: `.limit` when more than the maximum would come out; `.invalid` for what is no such stream.
  /// - Returns: how many bytes were taken: fewer than all only behind the end.
  @discardableResult package func decompress(_ bytes: RawSpan, into output: inout [UInt8]) throws(ParseError) -> Int {
    var left = bytes.byteCount
    let fault = bytes.withUnsafeBytes { input -> ParseError? in
      stream.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
      stream.pointee.avail_in = UInt32(truncatingIfNeeded: input.count)
      defer {
        left = Int(stream.pointee.avail_in)
        stream.pointee.next_in = nil
      }
      while !isFinished {
        // One byte more than allowed tells a full stream from one that goes on.
        let room = min(16383, maximum - produced) + 1
        let before = output.count
        var result = Z_OK
        output.append(zlibChunk: stream, maximum: room) { result = inflate(stream, Z_NO_FLUSH) }
        produced += output.count - before
        guard produced <= maximum else { return .limit("decompressed data", maximum: maximum) }
        switch result {
        case Z_STREAM_END: isFinished = true
        case Z_OK: if stream.pointee.avail_out != 0, stream.pointee.avail_in == 0 { return nil }
        case Z_BUF_ERROR: return nil
        default: return .invalid("compressed data that is damaged", at: input.count - Int(stream.pointee.avail_in))
        }
      }
      return nil
    }
    if let fault { throw fault }
    return bytes.byteCount - left
  }

  /// All of `bytes` at once.
  ///
  /// - Throws: also when the stream is cut off.
  package static func decompress(_ bytes: [UInt8], _ format: CompressionFormat = .gzip, maximum: Int) throws(ParseError) -> [UInt8] {
    var output: [UInt8] = []
    let inflater = Inflater(format, maximum: maximum)
    try inflater.decompress(bytes.span.bytes, into: &output)
    guard inflater.isFinished else { throw .truncated(at: bytes.count, needed: 1) }
    return output
  }
}

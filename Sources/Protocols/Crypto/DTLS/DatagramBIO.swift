internal import COpenSSL
internal import MartletPrimitives

/// Datagrams as OpenSSL sees them through a BIO of our own: a read is one datagram, straight from the caller's bytes; a write is one
/// datagram more to send. BIO_s_mem would join datagrams.
internal final class DatagramBIO {
  /// Only set while the caller's bytes are borrowed; empty once it was read.
  var input = UnsafeRawBufferPointer(start: nil, count: 0)
  var output = DatagramBatch()
  /// What a client's cookie may be, of an engine that a listener has made.
  var cookies: [[UInt8]] = []

  /// A BIO that reads and writes this object, which must outlive it.
  func makeBIO() -> OpaquePointer? {
    guard let method = Self.method.pointer, let bio = BIO_new(method) else { return nil }
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    return bio
  }

  static func datagrams(_ bio: OpaquePointer?) -> DatagramBIO? {
    BIO_get_data(bio).map { Unmanaged<DatagramBIO>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Never changed once made; there is one for the process.
  private struct Method: @unchecked Sendable { let pointer: OpaquePointer? }

  private static let method: Method = {
    let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "martlet datagrams")
    BIO_meth_set_read(method) { bio, buffer, size in
      BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY)
      guard let this = DatagramBIO.datagrams(bio), let buffer, size > 0 else { return -1 }
      guard let start = this.input.baseAddress, !this.input.isEmpty else {
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
      }
      // What does not fit is lost, as with recv().
      let count = min(Int(size), this.input.count)
      UnsafeMutableRawPointer(buffer).copyMemory(from: start, byteCount: count)
      this.input = UnsafeRawBufferPointer(start: nil, count: 0)
      return Int32(count)
    }
    BIO_meth_set_write(method) { bio, buffer, size in
      guard let this = DatagramBIO.datagrams(bio), let buffer, size > 0 else { return -1 }
      this.output.append(contentsOf: UnsafeRawBufferPointer(start: buffer, count: Int(size)))
      return size
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return Method(pointer: method)
  }()
}

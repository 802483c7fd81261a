internal import COpenSSL

/// The two directions of ciphertext, as OpenSSL sees them through a BIO of our own: it reads straight from the caller's
/// bytes and writes to one array. BIO_s_mem would copy both ways and keep its peak for ever.
internal final class WireBIO {
  /// Only set while the caller's bytes are borrowed.
  var input = UnsafeRawBufferPointer(start: nil, count: 0)
  var output: [UInt8] = []

  /// A BIO that reads and writes this object, which must outlive it.
  func makeBIO() -> OpaquePointer? {
    guard let method = Self.method.pointer, let bio = BIO_new(method) else { return nil }
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    return bio
  }

  private static func wire(_ bio: OpaquePointer?) -> WireBIO? {
    BIO_get_data(bio).map { Unmanaged<WireBIO>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Never changed once made; there is one for the process.
  private struct Method: @unchecked Sendable { let pointer: OpaquePointer? }

  private static let method: Method = {
    let method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "martlet wire")
    BIO_meth_set_read(method) { bio, buffer, size in
      BIO_clear_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_WRITE | BIO_FLAGS_IO_SPECIAL | BIO_FLAGS_SHOULD_RETRY)
      guard let wire = WireBIO.wire(bio), let buffer, size > 0 else { return -1 }
      let count = min(Int(size), wire.input.count)
      guard count > 0 else {
        BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY)
        return -1
      }
      UnsafeMutableRawPointer(buffer).copyMemory(from: wire.input.baseAddress.unsafelyUnwrapped, byteCount: count)
      wire.input = UnsafeRawBufferPointer(rebasing: wire.input[count...])
      return Int32(count)
    }
    BIO_meth_set_write(method) { bio, buffer, size in
      guard let wire = WireBIO.wire(bio), let buffer, size > 0 else { return -1 }
      wire.output.append(contentsOf: UnsafeRawBufferPointer(start: buffer, count: Int(size)))
      return size
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return Method(pointer: method)
  }()
}
